/* What an ELF file of CPython has that is looked for: symbols, a version, glibc's descriptor, a loop in two parts. */

const unsigned long Py_Version = 0x030C01F0;
const unsigned _thread_db_pthread_specific[3] = {2048, 1, 0x310};
char _PyRuntime[4096], PyCode_Type[416], PyUnicode_Type[416], PyBytes_Type[416];

int rare(int);
int rare(int x) { return x * 3 + _PyRuntime[x & 1023]; }

extern int other(int, const char *) __attribute__((cold));

int _PyEval_EvalFrameDefault(int n, const char *code) {
    int sum = 0;
    for (int i = 0; i < n; i++) {
        if (__builtin_expect(code[i] == 'x', 0)) {
            sum += other(sum, code);
            sum ^= other(sum + 1, code + 1);
        }
        sum += rare(code[i]);
    }
    return sum;
}
