import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntUnaryOperator;

/** Stands still in frames that are known, after it has run enough for its methods to be compiled. */
public class Known {
    static int sink;

    static class Inner {
        int größe𝒳(int x) {
            return x * 31 + 7;
        }
    }

    static void leaf(long millis) throws InterruptedException {
        if (millis > 0) {
            Thread.sleep(millis);
        }
        sink++;
    }

    static void middle(long millis) throws InterruptedException {
        leaf(millis);
        sink++;
    }

    static void outer(long millis) throws InterruptedException {
        middle(millis);
        sink++;
    }

    static void recursive(int depth, long millis) throws InterruptedException {
        if (depth > 0) {
            recursive(depth - 1, millis);
        } else {
            outer(millis);
        }
        sink++;
    }

    /** Compiled when it is told to go on. */
    static int later(int x) {
        return sink ^ x;
    }

    interface Task {
        void run(long millis) throws InterruptedException;
    }

    static int work(int rounds) {
        Inner inner = new Inner();
        Map<String, Integer> map = new HashMap<>();
        List<Integer> list = new ArrayList<>();
        IntUnaryOperator twice = x -> x + x;
        int sum = 0;
        for (int i = 0; i < rounds; i++) {
            sum += inner.größe𝒳(i) + twice.applyAsInt(i);
            map.put("k" + i % 100, i);
            if (i % 1000 == 0) {
                list.add(i);
            }
        }
        return sum + map.size() + list.size();
    }

    public static void main(String[] arguments) throws Exception {
        int rounds = Integer.parseInt(arguments[0]);
        sink = work(rounds);
        for (int i = 0; i < rounds; i++) {
            recursive(3, 0);
        }
        Task task = millis -> recursive(3, millis);
        task.run(0);
        Thread thread = new Thread(() -> {
            try {
                task.run(600_000);
            } catch (InterruptedException e) {
                return;
            }
        }, "known");
        thread.setDaemon(true);
        thread.start();
        while (thread.getState() != Thread.State.TIMED_WAITING) {
            Thread.sleep(1);
        }
        System.out.println("ready");
        BufferedReader told = new BufferedReader(new InputStreamReader(System.in));
        while (told.readLine() != null) {
            for (int i = 0; i < rounds; i++) {
                sink += later(i);
            }
            System.out.println("done");
        }
    }
}
