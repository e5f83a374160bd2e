#!/bin/busybox sh
# The guest's first process: loads the modules, makes its root out of this machine's, and runs the scripts that come by the
# channel, a line each, TOKEN SCRIPT (base64). Back goes what the script says and a line TOKEN STATUS.
/bin/busybox mount -t proc proc /proc # by its path: the shell finds its own commands by /proc/self/exe
mount -t devtmpfs dev /dev
for module in /modules/*; do
    insmod "$module" || echo "lab: no $module"
done

# what the guest writes stays in its memory
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose host /host
mount -t tmpfs writes /writes
mkdir /writes/upper /writes/work
mount -t overlay -o lowerdir=/host,upperdir=/writes/upper,workdir=/writes/work root /root
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t tmpfs run /root/run
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/shm /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t devpts pts /root/dev/pts

inside() {
    chroot /root /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/usr/sbin /bin/bash -e "$@"
}

echo "lab: devices"
inside -c "
    ip link set lo up
    ip address add $ADDRESS/24 dev eth0
    ip link set eth0 mtu 9000 up
    rdma link add rxe0 type rxe netdev eth0
"

exec 3<>/dev/vport0p1
echo "lab: ready"
echo ready >&3
while read -r token script <&3; do
    echo "$script" | base64 -d >/root/run/script
    inside /run/script </dev/null >&3 2>&1 3>&-
    status=$?
    kill -9 -1 # all but this process
    printf '\n%s %s\n' "$token" "$status" >&3
done
poweroff -f # who had the other end is gone
