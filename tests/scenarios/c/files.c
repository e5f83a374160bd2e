/* Files that are made durable: in the current folder, which is a mount prefix (test_files.py). Each scenario ends with what is
 * in its files; what was made durable last has to be all of it. */
#include "scenario.h"

static void contents(const char *path)
{
    char text[4096];
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        say("%s: %s", path, name_of(errno));
        return;
    }
    MUST(fstat(fd, &found));
    long n = MUST(read(fd, text, sizeof text));
    say("%s: %ld bytes, mode %o, %ld links", path, (long)found.st_size, found.st_mode & 07777, (long)found.st_nlink);
    show(path, text, n);
    close(fd);
}

static int appender(const char *path) { return (int)MUST(open(path, O_WRONLY | O_APPEND | O_CREAT, 0644)); }
static void put(int fd, const char *text) { MUST(write(fd, text, strlen(text))); }

/* Kept from the second fsync on: what follows goes to its journal. */
static int kept(const char *path)
{
    int fd = appender(path);
    put(fd, "before ");
    MUST(fsync(fd));
    MUST(fsync(fd));
    put(fd, "kept ");
    MUST(fdatasync(fd));
    return fd;
}

SCENARIO(appended)
{
    int fd = (int)SAY(open("log", O_WRONLY | O_APPEND | O_CREAT, 0640));
    SAY(write(fd, "one ", 4));
    SAY(fsync(fd));
    SAY(write(fd, "two ", 4));
    SAY(fdatasync(fd));
    SAY(lseek(fd, 0, SEEK_CUR));
    SAY(lseek(fd, 2, SEEK_SET));
    SAY(write(fd, "three ", 6));
    SAY(pwrite(fd, "four ", 5, 1));
    struct iovec parts[2] = {{"fi", 2}, {"ve ", 3}};
    SAY(writev(fd, parts, 2));
    SAY(fsync(fd));
    SAY(fsync(fd));
    SAY(lseek(fd, 0, SEEK_END));
    SAY(read(fd, parts, 1));
    SAY(close(fd));
    SAY(fsync(fd));
    SAY(open("log", O_RDONLY));
    contents("log");
}

SCENARIO(sequential)
{
    int fd = (int)SAY(open("new", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    for (int i = 0; i < 5; i++) {
        SAY(write(fd, "a line\n", 7));
        SAY(fdatasync(fd));
    }
    contents("new");
}

SCENARIO(written_in_place)
{
    int fd = (int)MUST(open("a", O_WRONLY | O_CREAT, 0644));
    for (int i = 0; i < 3; i++) {
        put(fd, "0123456789");
        MUST(fsync(fd));
    }
    SAY(lseek(fd, 5, SEEK_SET));
    put(fd, "in place");
    SAY(fsync(fd));
    SAY(lseek(fd, 0, SEEK_END));
    put(fd, " end");
    SAY(fdatasync(fd));
    contents("a");
    fd = (int)MUST(open("b", O_WRONLY | O_CREAT, 0644));
    for (int i = 0; i < 3; i++) {
        put(fd, "0123456789");
        MUST(fsync(fd));
    }
    SAY(pwrite(fd, "here", 4, 11));
    struct iovec part = {"there", 5};
    SAY(pwritev(fd, &part, 1, 21));
    SAY(fsync(fd));
    contents("b");
}

SCENARIO(appends_no_more)
{
    int fd = kept("a"), other = (int)MUST(open("a", O_WRONLY | O_APPEND));
    SAY(fcntl(other, F_SETFL, O_APPEND | O_NONBLOCK));
    SAY(pwrite(other, "to the end ", 11, 0));
    SAY(fsync(fd));
    SAY(fcntl(other, F_SETFL, 0));
    SAY(pwrite(other, "IN PLACE", 8, 0));
    SAY(fsync(fd));
    put(fd, "end");
    SAY(fsync(fd));
    contents("a");
}

SCENARIO(written_by_another_number)
{
    int fd = kept("a"), other = (int)MUST(open("a", O_RDWR));
    SAY(pwrite(other, "BEF", 3, 0));
    SAY(fsync(fd));
    put(fd, "more");
    SAY(fsync(fd));
    contents("a");
    fd = kept("b");
    FILE *file = fopen("b", "r+");
    fputs("stdio", file);
    SAY(fflush(file));
    SAY(fsync(fd));
    put(fd, "more");
    SAY(fsync(fd));
    fclose(file);
    contents("b");
}

SCENARIO(mapped)
{
    int fd = kept("a"), other = (int)MUST(open("a", O_RDWR));
    char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    MUST(close(other));
    memcpy(at, "mapped", 6);
    SAY(fsync(fd));
    put(fd, "more ");
    SAY(fsync(fd));
    memcpy(at, "MAPPED", 6);
    put(fd, "still more");
    SAY(fdatasync(fd));
    contents("a");
}

SCENARIO(cut)
{
    int fd = kept("a");
    SAY(ftruncate(fd, 9));
    SAY(fsync(fd));
    put(fd, "after");
    SAY(fsync(fd));
    contents("a");
    SAY(ftruncate(fd, 0));
    put(fd, "a new beginning that is longer than the old file was");
    SAY(fdatasync(fd));
    put(fd, " more");
    SAY(fdatasync(fd));
    contents("a");
    SAY(ftruncate(fd, 100));
    SAY(fdatasync(fd));
    contents("a");
}

SCENARIO(cut_by_its_name)
{
    int fd = kept("a");
    SAY(truncate("a", 3));
    put(fd, "ond, and on it goes for a while, longer than it was");
    SAY(fsync(fd));
    put(fd, ".");
    SAY(fsync(fd));
    contents("a");
    fd = kept("b");
    SAY(open("b", O_WRONLY | O_TRUNC));
    put(fd, "appended by the first number");
    SAY(fsync(fd));
    put(fd, ".");
    SAY(fsync(fd));
    contents("b");
}

SCENARIO(holes)
{
    int fd = kept("a");
    SAY(fallocate(fd, 0, 0, 20));
    SAY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8192));
    SAY(fsync(fd));
    SAY(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 8));
    put(fd, "end");
    SAY(fsync(fd));
    contents("a");
}

/* Ranges that are asked to be written, zeroed, shared, or copied from elsewhere into the midst of a file. */
SCENARIO(ranges)
{
    int from = appender("from"), fd = (int)SAY(open("a", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    off_t start = 0, midst = 2;
    put(from, "copied");
    for (int i = 0; i < 4; i++) {
        put(fd, "0123456789");
        SAY(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
        SAY(fdatasync(fd));
    }
    SAY(posix_fallocate(fd, 30, 20));
    SAY(fsync(fd));
    SAY(fallocate(fd, FALLOC_FL_ZERO_RANGE, 5, 10));
    SAY(fsync(fd));
    contents("a");
    fd = (int)SAY(open("b", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    for (int i = 0; i < 4; i++) {
        put(fd, "0123456789");
        SAY(fsync(fd));
    }
    from = (int)MUST(open("from", O_RDONLY));
    SAY(copy_file_range(from, &start, fd, &midst, 6, 0));
    SAY(fsync(fd));
    put(fd, "end");
    SAY(fsync(fd));
    contents("b");
}

SCENARIO(names)
{
    int fd = kept("a");
    SAY(rename("a", "b"));
    put(fd, "renamed ");
    SAY(fsync(fd));
    SAY(link("b", "c"));
    put(fd, "linked ");
    SAY(fsync(fd));
    SAY(unlink("b"));
    put(fd, "unlinked");
    SAY(fsync(fd));
    contents("a");
    contents("c");
    SAY(unlink("c"));
    put(fd, "gone");
    SAY(fsync(fd));
    SAY(close(fd));
    fd = kept("c");
    put(fd, "anew");
    SAY(fdatasync(fd));
    contents("c");
}

SCENARIO(moved_away)
{
    int fd = kept("a");
    MUST(mkdir("../elsewhere", 0755));
    SAY(rename("a", "../elsewhere/a"));
    put(fd, "outside ");
    SAY(fsync(fd));
    contents("../elsewhere/a");
    SAY(renameat(AT_FDCWD, "../elsewhere/a", AT_FDCWD, "b"));
    put(fd, "back ");
    SAY(fsync(fd));
    put(fd, "for good");
    SAY(fdatasync(fd));
    contents("b");
}

SCENARIO(ways_to_a_file)
{
    MUST(mkdir("folder", 0755));
    MUST(symlink("folder/../folder", "way"));
    int dir = (int)MUST(open("way", O_RDONLY | O_DIRECTORY)), fd = (int)SAY(openat(dir, "../way/a", O_WRONLY | O_APPEND | O_CREAT, 0600));
    for (int i = 0; i < 3; i++) {
        put(fd, "by a folder ");
        SAY(fsync(fd));
    }
    MUST(chdir("folder"));
    fd = (int)SAY(open("a", O_WRONLY | O_APPEND));
    put(fd, "and there");
    SAY(fsync(fd));
    contents("a");
    SAY(fsync(dir));
    fd = (int)SAY(open(".", O_TMPFILE | O_WRONLY, 0600));
    put(fd, "nameless");
    SAY(fsync(fd));
    fd = (int)SAY(open("/dev/null", O_WRONLY));
    SAY(fsync(fd));
}

SCENARIO(copies)
{
    int fd = kept("a"), copy = (int)SAY(dup(fd));
    put(copy, "copy ");
    SAY(fsync(copy));
    SAY(close(fd));
    put(copy, "alone ");
    SAY(fdatasync(copy));
    SAY(dup2(copy, 20));
    put(20, "twenty ");
    SAY(fsync(20));
    fd = (int)MUST(open("b", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    put(fd, "0123456789");
    SAY(fsync(fd));
    copy = (int)SAY(fcntl(fd, F_DUPFD, 0));
    SAY(lseek(copy, 4, SEEK_SET));
    put(fd, "IN");
    SAY(fsync(fd));
    contents("a");
    contents("b");
}

SCENARIO(family)
{
    int fd = kept("a");
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) {
            put(fd, "child ");
            _exit(i == 1 ? fsync(fd) : 0);
        }
        int status;
        MUST(waitpid(child, &status, 0));
        say("the child ended with %d", status);
        put(fd, "parent ");
        SAY(fsync(fd));
    }
    contents("a");
    fd = (int)MUST(open("b", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    put(fd, "0123456789");
    SAY(fsync(fd));
    put(fd, "0123456789");
    SAY(fsync(fd));
    if (fork() == 0) {
        MUST(lseek(fd, 3, SEEK_SET));
        put(fd, "CHILD");
        MUST(lseek(fd, 0, SEEK_END));
        _exit(0);
    }
    MUST(wait(NULL));
    put(fd, "parent");
    SAY(fsync(fd));
    contents("b");
}

SCENARIO(other_programs)
{
    int fd = kept("a");
    SAY(system("echo by a shell >> a"));
    put(fd, "ours ");
    SAY(fsync(fd));
    SAY(system("cat a; tail -c 5 a; printf xyz | dd of=a oflag=append conv=notrunc,fsync status=none; wc -c < a"));
    put(fd, "ours");
    SAY(fsync(fd));
    contents("a");
}

SCENARIO(streams)
{
    FILE *file = fopen("a", "a");
    for (int i = 0; i < 3; i++) {
        fprintf(file, "line %d\n", i);
        SAY(fflush(file));
        SAY(fsync(fileno(file)));
    }
    SAY(fclose(file));
    file = fopen("a", "r");
    char line[20];
    while (fgets(line, sizeof line, file))
        show("line", line, (long)strlen(line));
    SAY(ftell(file));
    fclose(file);
    file = fopen("b", "w");
    fputs("0123456789", file);
    SAY(fflush(file));
    SAY(fsync(fileno(file)));
    SAY(fseek(file, 2, SEEK_SET));
    fputs("AB", file);
    SAY(fflush(file));
    SAY(fsync(fileno(file)));
    fclose(file);
    int fd = kept("c");
    file = fdopen(fd, "a");
    fputs("by stdio", file);
    SAY(fflush(file));
    SAY(fsync(fd));
    fclose(file);
    contents("a");
    contents("b");
    contents("c");
}

SCENARIO(raw_calls)
{
    int fd = (int)SAY(syscall(SYS_openat, AT_FDCWD, "a", O_WRONLY | O_CREAT, 0644));
    for (int i = 0; i < 3; i++) {
        SAY(syscall(SYS_write, fd, "0123456789", 10));
        SAY(syscall(i ? SYS_fdatasync : SYS_fsync, fd));
    }
    SAY(syscall(SYS_pwrite64, fd, "AB", 2, 3));
    SAY(syscall(SYS_fsync, fd));
    SAY(syscall(SYS_lseek, fd, 15, SEEK_SET));
    SAY(syscall(SYS_write, fd, "CD", 2));
    SAY(syscall(SYS_fsync, fd));
    SAY(syscall(SYS_ftruncate, fd, 20));
    SAY(syscall(SYS_fsync, fd));
    contents("a");
}

SCENARIO(refused)
{
    SAY(fsync(-1));
    SAY(fdatasync(999));
    int pipes[2];
    MUST(pipe(pipes));
    SAY(fsync(pipes[1]));
    SAY(open("none/a", O_WRONLY | O_CREAT, 0644));
    int fd = kept("a");
    SAY(open("a", O_WRONLY | O_CREAT | O_EXCL, 0644));
    signal(SIGXFSZ, SIG_IGN);
    MUST(setrlimit(RLIMIT_FSIZE, &(struct rlimit){20, 20}));
    SAY(write(fd, "12345678901234567890", 20));
    SAY(fsync(fd));
    SAY(write(fd, "1", 1));
    SAY(fsync(fd));
    contents("a");
    int reader = (int)SAY(open("a", O_RDONLY));
    SAY(write(reader, "x", 1));
    SAY(fsync(reader));
    SAY(fchmod(fd, 0600));
    SAY(fsync(fd));
    contents("a");
}

static void writes(void *path)
{
    int fd = appender(path);
    for (int i = 0; i < 25; i++) {
        put(fd, "0123456789");
        MUST(i % 5 ? fdatasync(fd) : fsync(fd));
    }
    close(fd);
}

SCENARIO(threads)
{
    struct worker workers[6];
    for (int i = 0; i < 6; i++)
        begin(&workers[i], writes, i < 4 ? "shared" : i == 4 ? "four" : "five");
    for (int i = 0; i < 6; i++)
        join(&workers[i]);
    contents("shared");
    contents("four");
    contents("five");
}

SCENARIO(large)
{
    static char bytes[1000000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)('a' + i * 7 % 26);
    int fd = kept("a");
    for (int i = 0; i < 12; i++) {
        SAY(write(fd, bytes, sizeof bytes - (size_t)i * 77777));
        SAY(fdatasync(fd));
    }
    put(fd, "end");
    SAY(fsync(fd));
    SAY(lseek(fd, 0, SEEK_END));
}

SCENARIO(many)
{
    for (int i = 0; i < 80; i++) {
        char name[20];
        sprintf(name, "file %d", i);
        int fd = kept(name);
        put(fd, name);
        MUST(fsync(fd));
        if (i % 3)
            close(fd);
    }
    contents("file 1");
    contents("file 79");
    int fd = appender("file 0");
    put(fd, " again");
    SAY(fsync(fd));
    put(fd, " and again");
    SAY(fsync(fd));
    contents("file 0");
}

static void lines(void *path)
{
    int fd = kept(path);
    char line[400];
    for (int i = 0; i < 60; i++) {
        int n = sprintf(line, "%s %d %*s\n", (char *)path, i, i * 5, "");
        MUST(write(fd, line, (size_t)n));
        MUST(i % 7 ? fdatasync(fd) : fsync(fd));
    }
    close(fd);
}

/* One file of several threads, whose mode changes meanwhile: its metadata are the kernel's to make durable. */
static void modes(void *path)
{
    int fd = appender(path); /* what several write is the same */
    for (int i = 0; i < 40; i++) {
        put(fd, "0123456789");
        if (i % 8 == 0)
            MUST(fchmod(fd, i % 16 ? 0644 : 0600));
        MUST(fsync(fd));
    }
    MUST(fchmod(fd, 0640));
    MUST(fsync(fd));
    close(fd);
}

/* Files that come, go and change hands meanwhile. */
static void others(void *path)
{
    for (int i = 0; i < 20; i++) {
        int fd = kept(path);
        MUST(fsync(fd));
        MUST(i % 3 ? ftruncate(fd, 0) : unlink(path));
        close(fd);
    }
}

SCENARIO(crowd)
{
    struct worker workers[22];
    static char names[22][20];
    for (int i = 0; i < 22; i++) {
        sprintf(names[i], "file %d", i < 18 ? i : 18);
        begin(&workers[i], i < 16 ? lines : i < 18 ? others : modes, names[i]);
    }
    for (int i = 0; i < 22; i++)
        join(&workers[i]);
    for (int i = 0; i < 19; i++)
        if (i < 16 || i == 18)
            contents(names[i]);
}
