/* A program with a fault for a tool to find: `faults WHAT` talks to itself over TCP from two threads, then commits WHAT:
 * nothing, heap (reads past the end of a block), unset (decides by memory that nobody has written), race (two threads write
 * one word), integer (adds past the largest) or leak. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 200, SIZE = 1000 };
static int raced;
static volatile int largest = 0x7fffffff;

static void must(int right, const char *what)
{
    if (!right) {
        perror(what);
        exit(1);
    }
}

static void whole(int fd, char *to, size_t n)
{
    for (ssize_t r; n; to += r, n -= (size_t)r)
        must((r = read(fd, to, n)) > 0, "read");
}

static void *echo(void *listener)
{
    char text[SIZE];
    int fd = accept(*(int *)listener, NULL, NULL);
    must(fd >= 0, "accept");
    for (int i = 0; i < TURNS; i++) {
        whole(fd, text, SIZE);
        must(write(fd, text, SIZE) == SIZE, "write");
    }
    close(fd);
    return NULL;
}

static void *write_one(void *word)
{
    for (int i = 0; i < 1000; i++)
        ++*(volatile int *)word;
    return NULL;
}

/* For the harness: whether Catflap's host is in this process. */
static void tell_host(void)
{
    char line[4096];
    int host = 0;
    const char *path = getenv("FLAP_NOTE");
    FILE *maps = fopen("/proc/self/maps", "re"), *note = path ? fopen(path, "ae") : NULL;
    while (maps && fgets(line, sizeof line, maps))
        host |= strstr(line, "libcatflap_host") != NULL;
    if (note)
        fprintf(note, "host %d\n", host);
    if (note)
        fclose(note);
    if (maps)
        fclose(maps);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "nothing";
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0, "listen");
    must(getsockname(listener, (struct sockaddr *)&at, &size) == 0, "name");
    pthread_t thread, other;
    must(pthread_create(&thread, NULL, echo, &listener) == 0, "thread");
    must(connect(fd, (struct sockaddr *)&at, sizeof at) == 0, "connect");
    unsigned sum = 0;
    for (int i = 0; i < TURNS; i++) {
        char text[SIZE], back[SIZE];
        memset(text, i, SIZE);
        must(write(fd, text, SIZE) == SIZE, "write");
        whole(fd, back, SIZE);
        must(memcmp(text, back, SIZE) == 0, "bytes");
        sum += (unsigned char)back[i];
    }
    close(fd);
    pthread_join(thread, NULL);
    printf("%u\n", sum);
    fflush(stdout);
    tell_host();
    char *block = malloc(size);
    memset(block, 1, size - 1);
    if (strcmp(what, "heap") == 0)
        printf("%d\n", ((volatile char *)block)[size]);
    if (strcmp(what, "unset") == 0 && ((volatile char *)block)[size - 1] == 7)
        puts("seven");
    if (strcmp(what, "race") == 0) {
        pthread_create(&thread, NULL, write_one, &raced);
        pthread_create(&other, NULL, write_one, &raced);
        pthread_join(thread, NULL);
        pthread_join(other, NULL);
    }
    if (strcmp(what, "integer") == 0)
        printf("%d\n", largest + 1);
    if (strcmp(what, "leak") == 0)
        *(char *volatile *)&block = malloc(50);
    free(block);
    return 0;
}
