/* Everything that libc and the kernel say of interfaces, a line each; counters, which change by themselves, apart. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void show(const char *what, const struct sockaddr *a)
{
    char text[64] = "";
    if (!a) {
        printf(" %s none", what);
    } else if (a->sa_family == AF_PACKET) {
        const struct sockaddr_ll *l = (const void *)a;
        printf(" %s link %d %d %d %d ", what, l->sll_protocol, l->sll_ifindex, l->sll_hatype, l->sll_pkttype);
        for (int i = 0; i < l->sll_halen; i++)
            printf("%02x", l->sll_addr[i]);
    } else if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *i = (const void *)a;
        printf(" %s %s%%%u", what, inet_ntop(AF_INET6, &i->sin6_addr, text, sizeof text), i->sin6_scope_id);
    } else {
        printf(" %s %d %s", what, a->sa_family, inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof text));
    }
}

static void listed(void)
{
    struct ifaddrs *list, *other;
    if (getifaddrs(&list) != 0 || getifaddrs(&other) != 0) {
        printf("getifaddrs %s\n", strerrorname_np(errno));
        return;
    }
    freeifaddrs(other);
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        printf("%s entry %#x", i->ifa_name, i->ifa_flags);
        show("address", i->ifa_addr);
        show("mask", i->ifa_netmask);
        show(i->ifa_flags & IFF_BROADCAST ? "broadcast" : "far", i->ifa_broadaddr);
        printf(" %s\n", i->ifa_data ? "counters" : "");
    }
    freeifaddrs(list);
}

#define ASK(request) asked(fd, name, #request, request)
static void asked(int fd, const char *name, const char *text, unsigned long request)
{
    struct ifreq direct, indirect;
    memset(&direct, 0x5a, sizeof direct);
    strncpy(direct.ifr_name, name, IFNAMSIZ - 1);
    direct.ifr_name[IFNAMSIZ - 1] = 0;
    indirect = direct;
    errno = 0;
    int r = ioctl(fd, request, &direct);
    printf("%s %s %d %s ", name, text, r, strerrorname_np(errno));
    for (size_t i = IFNAMSIZ; i < sizeof direct; i++)
        printf("%02x", ((unsigned char *)&direct)[i]);
    errno = 0;
    long s = syscall(SYS_ioctl, fd, request, &indirect);
    printf(" %s\n", s == r && memcmp(&direct, &indirect, sizeof direct) == 0 ? "by syscall too" : "OTHERWISE BY SYSCALL");
}

static void all_asked(int domain, int type, const char *name)
{
    int fd = socket(domain, type, 0);
    printf("%s on %d %d\n", name, domain, type);
    ASK(SIOCGIFADDR), ASK(SIOCGIFNETMASK), ASK(SIOCGIFBRDADDR), ASK(SIOCGIFFLAGS), ASK(SIOCGIFHWADDR), ASK(SIOCGIFMTU);
    ASK(SIOCGIFINDEX), ASK(SIOCGIFMETRIC), ASK(SIOCGIFTXQLEN), ASK(SIOCGIFPFLAGS), ASK(SIOCGIFENCAP);
    close(fd);
}

static void configuration(int room)
{
    char buffer[65536];
    struct ifconf asked = {.ifc_len = room, .ifc_buf = room < 0 ? NULL : buffer};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0), r = ioctl(fd, SIOCGIFCONF, &asked);
    printf("lo SIOCGIFCONF %d %s\n", r, room < 0 ? "counts" : room < 40 ? "nothing" : "all");
    fprintf(stderr, "%d ", asked.ifc_len);
    for (int i = 0; room >= 0 && i < asked.ifc_len / (int)sizeof(struct ifreq); i++) {
        printf("%s in configuration", asked.ifc_req[i].ifr_name);
        show("", &asked.ifc_req[i].ifr_addr);
        printf("\n");
    }
    close(fd);
}

int main(int argc, char **argv)
{
    char name[IF_NAMESIZE];
    if (argc > 1 && fork() != 0) {
        int status;
        struct ifaddrs *list;
        if (strcmp(argv[1], "first") == 0 && getifaddrs(&list) == 0)
            freeifaddrs(list);
        wait(&status);
        return status;
    }
    struct if_nameindex *list = if_nameindex();
    listed();
    for (struct if_nameindex *i = list; i->if_index; i++) {
        printf("%s if_nameindex %u %u %s\n", i->if_name, i->if_index, if_nametoindex(i->if_name), if_indextoname(i->if_index, name));
        all_asked(AF_INET, SOCK_DGRAM, i->if_name);
        all_asked(AF_INET6, SOCK_DGRAM, i->if_name);
        all_asked(AF_INET, SOCK_STREAM, i->if_name);
        all_asked(AF_UNIX, SOCK_STREAM, i->if_name);
    }
    if_freenameindex(list);
    all_asked(AF_INET, SOCK_DGRAM, "none0");
    all_asked(AF_INET, SOCK_DGRAM, "a name that is too long");
    errno = 0;
    printf("none0 %u %s\n", if_nametoindex("none0"), strerrorname_np(errno));
    errno = 0;
    printf("none0 %s %s\n", if_indextoname(0x7ffffff0, name), strerrorname_np(errno));
    errno = 0;
    printf("none0 %d %s\n", ioctl(0, SIOCGIFMTU, name), strerrorname_np(errno)); /* no socket */
    errno = 0;
    printf("none0 %d %s\n", ioctl(-1, SIOCGIFCONF, name), strerrorname_np(errno));
    configuration(-1);
    configuration(65536);
    configuration(0);
    configuration(39);
    return 0;
}
