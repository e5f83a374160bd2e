/* An ordinary client: `client PORT TEXT` sends TEXT and prints what comes back, until the peer closes. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1])),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        perror("connect");
        return 1;
    }
    if (write(fd, argv[2], strlen(argv[2])) < 0 || shutdown(fd, SHUT_WR) < 0) {
        perror("write");
        return 1;
    }
    char buf[4096];
    for (ssize_t n; (n = recv(fd, buf, sizeof buf, 0)) > 0;)
        fwrite(buf, 1, (size_t)n, stdout);
    putchar('\n');
    return close(fd);
}
