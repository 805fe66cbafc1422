/** Calls functions for as long as it runs; see test_runtimes.py. */
public class Spin {
  static long innermost(int n) {
    long sum = 0;
    for (int i = 0; i < n; i++) sum += i * 31 % 7;
    return sum;
  }

  long area(int n) {
    return innermost(n) + 1;
  }

  public static void main(String[] arguments) {
    long total = 0;
    Spin spin = new Spin();
    while (true) total += spin.area(1000);
  }
}
