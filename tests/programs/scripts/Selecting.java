// NIO. "server PORT FILE": one thread and a Selector; a line is sent back, "file" is answered by FILE (transferTo),
// "stop" ends the server. "client PORT COUNT GO": COUNT connections and a Selector, woken now and then by another thread.
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.HexFormat;
import java.util.concurrent.atomic.AtomicInteger;

public class Selecting {
    /** What waits to be sent on a connection: buffers, or the position in the file. */
    static class Side {
        final ArrayDeque<ByteBuffer> out = new ArrayDeque<>();
        final StringBuilder line = new StringBuilder();
        long position = -1;
        int sent, received;
        MessageDigest digest;
    }

    static FileChannel file;

    static boolean flush(SocketChannel channel, Side side) throws IOException {
        while (!side.out.isEmpty()) {
            channel.write(side.out.peek());
            if (side.out.peek().hasRemaining()) return false;
            side.out.remove();
        }
        while (side.position >= 0 && side.position < file.size()) {
            long moved = file.transferTo(side.position, file.size() - side.position, channel);
            if (moved == 0) return false;
            side.position += moved;
        }
        side.position = -1;
        return true;
    }

    static void server(int port, String path) throws Exception {
        file = FileChannel.open(Path.of(path));
        Selector selector = Selector.open();
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress("127.0.0.1", port)).configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        ByteBuffer buffer = ByteBuffer.allocateDirect(4096);
        int served = 0;
        while (true) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel channel = listener.accept();
                    channel.configureBlocking(false);
                    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                    channel.register(selector, SelectionKey.OP_READ, new Side());
                    continue;
                }
                SocketChannel channel = (SocketChannel) key.channel();
                Side side = (Side) key.attachment();
                if (key.isReadable()) {
                    buffer.clear();
                    if (channel.read(buffer) < 0) {
                        channel.close();
                        continue;
                    }
                    for (buffer.flip(); buffer.hasRemaining(); ) {
                        char c = (char) buffer.get();
                        side.line.append(c);
                        if (c != '\n') continue;
                        String line = side.line.toString();
                        side.line.setLength(0);
                        served++;
                        if (line.equals("stop\n")) {
                            System.out.println("served " + served);
                            return;
                        }
                        if (line.equals("file\n")) side.position = 0;
                        else side.out.add(ByteBuffer.wrap(line.getBytes(StandardCharsets.US_ASCII)));
                    }
                }
                boolean done = flush(channel, side);
                key.interestOps(done ? SelectionKey.OP_READ : SelectionKey.OP_READ | SelectionKey.OP_WRITE);
            }
            selector.selectedKeys().clear();
        }
    }

    static final int LINES = 100;

    static void client(int port, int count, String go) throws Exception {
        Selector selector = Selector.open();
        AtomicInteger woken = new AtomicInteger();
        Thread waker = new Thread(() -> {
            while (woken.incrementAndGet() > 0) {
                selector.wakeup();
                try {
                    Thread.sleep(1);
                } catch (InterruptedException end) {
                    return;
                }
            }
        });
        waker.setDaemon(true);
        waker.start();
        for (int n = 0; n < count; n++) {
            SocketChannel channel = SocketChannel.open();
            channel.configureBlocking(false);
            Side side = new Side();
            side.digest = MessageDigest.getInstance("SHA-256");
            boolean done = channel.connect(new InetSocketAddress("127.0.0.1", port));
            channel.register(selector, done ? SelectionKey.OP_WRITE : SelectionKey.OP_CONNECT, side);
        }
        int open = count;
        long size = 0;
        String[] digests = new String[count];
        while (open > 0) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                SocketChannel channel = (SocketChannel) key.channel();
                Side side = (Side) key.attachment();
                if (key.isConnectable() && channel.finishConnect()) key.interestOps(SelectionKey.OP_WRITE);
                if (!key.isConnectable() && key.isWritable()) {
                    String line = side.sent < LINES ? "line " + side.sent + "\n" : "file\n";
                    channel.write(ByteBuffer.wrap(line.getBytes(StandardCharsets.US_ASCII)));
                    side.sent++;
                    key.interestOps(SelectionKey.OP_READ);
                }
                if (key.isReadable()) {
                    ByteBuffer buffer = ByteBuffer.allocate(65536);
                    int got = channel.read(buffer);
                    if (got < 0) throw new IOException("closed");
                    side.digest.update(buffer.array(), 0, got);
                    side.received += got;
                    size += got;
                    if (side.sent == LINES && buffer.array()[got - 1] == '\n' && go != null) {
                        System.out.println("reached");
                        while (!Files.exists(Path.of(go))) Thread.sleep(10);
                        go = null;
                    }
                    if (side.sent <= LINES && buffer.array()[got - 1] == '\n') key.interestOps(SelectionKey.OP_WRITE);
                    if (side.sent > LINES && side.received == 790 + 2000000) {
                        digests[--open] = HexFormat.of().formatHex(side.digest.digest());
                        channel.close();
                    }
                }
            }
            selector.selectedKeys().clear();
        }
        waker.interrupt();
        try (SocketChannel last = SocketChannel.open(new InetSocketAddress("127.0.0.1", port))) {
            last.write(ByteBuffer.wrap("stop\n".getBytes(StandardCharsets.US_ASCII)));
            last.read(ByteBuffer.allocate(1));
        }
        for (String digest : digests) System.out.println(digest);
        System.out.println(size);
    }

    public static void main(String[] words) throws Exception {
        if (words[0].equals("server")) server(Integer.parseInt(words[1]), words[2]);
        else client(Integer.parseInt(words[1]), Integer.parseInt(words[2]), words[3]);
    }
}
