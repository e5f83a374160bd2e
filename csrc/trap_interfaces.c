/* Lists of interfaces. A program that has a network of its own finds that network's interface behind the kernel's: the kernel
 * is asked first, and what it does not know the host may (interpose/interfaces.py). */
#include "trap.h"

/* ioctl(2) `request` on that interface: 0 or -errno. `room`: that of SIOCGIFCONF. */
int64_t beyond(unsigned long request, void *at, int room)
{
    int64_t r = -ENODEV;
    int error = errno;
    if (networked && host_ready() && !in_vfork_child()) {
        struct thread *t = enter();
        r = SLOW(t, interface, request, at, room, 0, 0);
        leave(t);
    }
    errno = error;
    return r;
}

/* Its entries, written once for all lists: freeifaddrs(3) frees the one block that the kernel's are in. */
static struct ifaddrs *entries(void)
{
    struct ifaddrs *first = NULL;
    return beyond(0, &first, 0) == 0 ? first : NULL;
}

EXPORT int getifaddrs(struct ifaddrs **list)
{
    int r = next.getifaddrs(list);
    struct ifaddrs *last = r == 0 ? *list : NULL;
    while (last && last->ifa_next)
        last = last->ifa_next;
    if (last)
        last->ifa_next = entries();
    return r;
}

EXPORT unsigned if_nametoindex(const char *name)
{
    unsigned index = next.if_nametoindex(name);
    struct ifreq asked = {0};
    if (index || errno != ENODEV)
        return index;
    strncpy(asked.ifr_name, name, IFNAMSIZ - 1);
    return beyond(SIOCGIFINDEX, &asked, 0) == 0 ? (unsigned)asked.ifr_ifindex : 0;
}

EXPORT char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
    char *found = next.if_indextoname(index, name);
    struct ifreq asked = {.ifr_ifindex = (int)index};
    bool ours = !found && errno == ENXIO && beyond(SIOCGIFNAME, &asked, 0) == 0;
    return ours ? memcpy(name, asked.ifr_name, IFNAMSIZ) : found;
}

/* Allocates, as libc's does: if_freenameindex(3) frees the array and each name. */
EXPORT struct if_nameindex *if_nameindex(void)
{
    struct if_nameindex *list = next.if_nameindex(), *longer;
    struct ifaddrs *ours = list ? entries() : NULL;
    char *name = ours ? strdup(ours->ifa_name) : NULL;
    size_t n = 0;
    while (name && list[n].if_index)
        n++;
    if (!name || !(longer = reallocarray(list, n + 2, sizeof *list)))
        return list;
    longer[n + 1] = longer[n];
    longer[n] = (struct if_nameindex){if_nametoindex(name), name};
    return longer;
}
