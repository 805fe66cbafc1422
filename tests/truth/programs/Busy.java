/* Burns CPU for so many seconds: in `three` about three times as long as in `one`, both called 20 deep. How long really
 * is for the compiler to say: the time in `one` and in `three` so far is printed for each byte that is read. One method
 * is a native one's caller, one is called by the runtime through an interface, and a second thread does the same. */
public class Busy {
    interface Work {
        long turn(long seed);
    }

    static volatile long sink;
    static long inOne, inThree; /* ns; of two threads: what they overwrite of each other's is as much of both */

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
        long began = System.nanoTime();
        seed = one(seed);
        long between = System.nanoTime();
        seed = three(seed);
        inThree += System.nanoTime() - between;
        inOne += between - began;
        return seed;
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
        Thread teller = new Thread(() -> {
            try {
                while (System.in.read() >= 0)
                    System.out.println(inOne + " " + inThree);
            } catch (java.io.IOException gone) {
            }
        });
        teller.setDaemon(true);
        teller.start();
        System.out.println("begun");
        run(seconds, seed -> descend(20, seed));
        other.join();
    }
}
