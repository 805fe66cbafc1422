/* Burns CPU for so many seconds: in `three` three times as long as in `one`, both called 20 deep. One method is a
 * native one's caller, one is called by the runtime through an interface, and a second thread does the same. */
public class Busy {
    interface Work {
        long turn(long seed);
    }

    static volatile long sink;

    static long one(long seed) {
        for (int i = 0; i < 20_000; i++)
            seed = seed * 6364136223846793005L + (seed >>> 33);
        return seed;
    }

    static long three(long seed) {
        for (int i = 0; i < 60_000; i++)
            seed = seed * 6364136223846793005L + (seed >>> 33);
        return seed;
    }

    static long descend(int depth, long seed) {
        if (depth > 0)
            return descend(depth - 1, seed) + 1;
        return three(one(seed));
    }

    static void run(double seconds, Work work) {
        long until = System.nanoTime() + (long) (seconds * 1e9);
        long seed = 1;
        while (System.nanoTime() < until)
            seed = work.turn(seed);
        sink = seed;
    }

    public static void main(String[] args) throws Exception {
        double seconds = Double.parseDouble(args[0]);
        Thread other = new Thread(() -> run(seconds, seed -> descend(20, seed)), "other");
        other.start();
        System.out.println("begun");
        run(seconds, seed -> descend(20, seed));
        other.join();
    }
}
