// "server PORT THREADS": com.sun.net.httpserver. "client PORT GO": java.net.http's client, which keeps its connections,
// prints what it was answered; it says "reached" after a hundred messages and waits for the file GO.
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;

public class Web {
    static byte[] content(int size) {
        byte[] data = new byte[size];
        new Random(size).nextBytes(data);
        return data;
    }

    static String sha(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data)).substring(0, 16);
    }

    static void answer(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        String path = exchange.getRequestURI().getPath();
        if (path.startsWith("/size/")) body = content(Integer.parseInt(path.substring(6)));
        if (path.startsWith("/pieces/")) {
            exchange.sendResponseHeaders(200, 0);
            for (int n = 0; n < Integer.parseInt(path.substring(8)); n++) {
                exchange.getResponseBody().write(("piece " + n + "\n").getBytes());
                exchange.getResponseBody().flush();
            }
        } else {
            exchange.sendResponseHeaders(path.equals("/absent") ? 404 : 200, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
        }
        exchange.close();
    }

    static void server(int port, int threads) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port), 50);
        server.createContext("/", Web::answer);
        server.setExecutor(Executors.newFixedThreadPool(threads));
        server.start();
    }

    static void told(String name, HttpResponse<byte[]> answer) throws Exception {
        System.out.println(name + " " + answer.statusCode() + " " + answer.body().length + " " + sha(answer.body()));
    }

    static void client(String port, String go) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        URI root = URI.create("http://127.0.0.1:" + port);
        for (int n = 0; n < 100; n++) {
            String message = "message " + n;
            HttpRequest post = HttpRequest.newBuilder(root).POST(BodyPublishers.ofString(message)).build();
            if (!client.send(post, BodyHandlers.ofString()).body().equals(message)) System.out.println("not " + message);
        }
        System.out.println("reached");
        while (!Files.exists(Path.of(go))) Thread.sleep(10);
        for (String path : new String[] {"/size/0", "/size/1", "/size/65536", "/size/3000000", "/pieces/300", "/absent"})
            told(path, client.send(HttpRequest.newBuilder(root.resolve(path)).build(), BodyHandlers.ofByteArray()));
        HttpRequest large = HttpRequest.newBuilder(root).PUT(BodyPublishers.ofByteArray(content(3000001))).build();
        told("put", client.send(large, BodyHandlers.ofByteArray()));
        var together = new ArrayList<CompletableFuture<HttpResponse<byte[]>>>();
        for (int n = 0; n < 40; n++) {
            HttpRequest get = HttpRequest.newBuilder(root.resolve("/size/" + n * 1000)).build();
            together.add(client.sendAsync(get, BodyHandlers.ofByteArray()));
        }
        for (int n = 0; n < 40; n++) told("together " + n, together.get(n).get());
        System.exit(0);
    }

    public static void main(String[] words) throws Exception {
        if (words[0].equals("server")) server(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
        else client(words[1], words[2]);
    }
}
