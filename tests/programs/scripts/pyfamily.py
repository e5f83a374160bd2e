"""METHOD: multiprocessing by fork, spawn or forkserver, with connections of every process and between them."""

import concurrent.futures
import multiprocessing
import socket
import sys
import threading
from multiprocessing.connection import Client, Listener

from pyhosts import talk


def told(queue, n):
    queue.put((n, talk()))


def ask(address, n):
    with socket.create_connection(address) as connection:
        for turn in range(100):
            message = b"%d %d" % (n, turn)
            connection.sendall(message)
            assert connection.recv(100) == message


def answer(listener):
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(100):
            connection.sendall(data)


def run(processes):
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    return [process.exitcode for process in processes]


def objects(context):
    """An authenticated connection of multiprocessing's own, over TCP: what comes back."""
    with Listener(("127.0.0.1", 0), authkey=b"key") as listener:

        def serve():
            with listener.accept() as connection:
                for _ in range(100):
                    connection.send(connection.recv())

        thread = threading.Thread(target=serve)
        thread.start()
        with Client(listener.address, authkey=b"key") as client:
            for turn in range(100):
                client.send({"turn": turn})
                assert client.recv() == {"turn": turn}
        thread.join()
    return "objects"


def main(method):
    context = multiprocessing.get_context(method)
    print(method, talk())
    queue = context.Queue()
    started = [context.Process(target=told, args=(queue, n)) for n in range(3)]
    for process in started:
        process.start()
    print(sorted(queue.get(timeout=30) for _ in started))
    for process in started:
        process.join()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        servers = [context.Process(target=answer, args=(listener,)) for _ in range(3)]
        clients = [context.Process(target=ask, args=(listener.getsockname(), n)) for n in range(3)]
        print(run([*servers, *clients]))
    with context.Pool(2) as pool:
        print(pool.map(talk, [10, 20, 30]))
    with context.Manager() as manager:
        shared = manager.dict(known=1)
        print(dict(shared))
    print(objects(context))
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        print(list(pool.map(talk, [1, 2, 3])))


if __name__ == "__main__":
    main(sys.argv[1])
