import java.util.concurrent.Executors;

/** Records, patterns in a switch, and virtual threads: Java 21. */
public class Modern {
  record Point(int x, int y) {}

  static String tell(Object thing) {
    return switch (thing) {
      case Point(int x, int y) when x == y -> "on the diagonal";
      case Point(int x, int y) -> "at " + x + ", " + y;
      default -> "nowhere";
    };
  }

  public static void main(String[] words) throws Exception {
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      var told = threads.submit(() -> Thread.currentThread().isVirtual() + ": " + tell(new Point(3, 4)));
      System.out.println(told.get());
    }
  }
}
