public class HelloWorld {
  public static void main(String[] words) {
    System.out.println("Hello, Joblet!");
  }
}
