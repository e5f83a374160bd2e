/* Starts, opens as many sockets as told, prints its private memory in KiB if told, and ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    for (int i = argc > 1 ? atoi(argv[1]) : 0; i > 0; i--)
        if (socket(AF_INET, SOCK_STREAM, 0) < 0)
            return 1;
    if (argc > 2) {
        FILE *f = fopen("/proc/self/smaps_rollup", "r");
        char line[256];
        long private = 0, n;
        while (f && fgets(line, sizeof line, f))
            if (sscanf(line, "Private_Clean: %ld", &n) == 1 || sscanf(line, "Private_Dirty: %ld", &n) == 1)
                private += n;
        printf("%ld\n", private);
    }
    return 0;
}
