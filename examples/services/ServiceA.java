import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

/** Answers everybody on its network, and says when it does. */
public class ServiceA {
  public static void main(String[] words) throws Exception {
    var server = HttpServer.create(new InetSocketAddress(8080), 0);
    server.createContext("/", exchange -> {
      var answer = ("hello from Java " + Runtime.version().feature()).getBytes();
      exchange.sendResponseHeaders(200, answer.length);
      exchange.getResponseBody().write(answer);
      exchange.close();
    });
    server.start();
    System.out.println("listening on 8080");
  }
}
