/* Burns CPU for so many seconds in virtual threads that yield now and then. Java 21 and later. */
public class Virtual {
    static volatile long sink;

    static long burn(long seed) {
        for (int i = 0; i < 50_000; i++)
            seed = seed * 6364136223846793005L + (seed >>> 33);
        return seed;
    }

    static long descend(int depth, long seed) {
        return depth > 0 ? descend(depth - 1, seed) + 1 : burn(seed);
    }

    static void run(long until) {
        long seed = 1;
        for (int turn = 1; System.nanoTime() < until; turn++) {
            seed = descend(10, seed);
            if (turn % 50 == 0)
                try {
                    Thread.sleep(1);
                } catch (InterruptedException error) {
                    return;
                }
        }
        sink = seed;
    }

    public static void main(String[] args) throws Exception {
        long until = System.nanoTime() + (long) (Double.parseDouble(args[0]) * 1e9);
        // as the classes are made for Java 11
        java.lang.reflect.Method start = Thread.class.getMethod("startVirtualThread", Runnable.class);
        Thread[] threads = new Thread[4];
        for (int i = 0; i < threads.length; i++)
            threads[i] = (Thread) start.invoke(null, (Runnable) () -> run(until));
        System.out.println("begun");
        for (Thread thread : threads)
            thread.join();
    }
}
