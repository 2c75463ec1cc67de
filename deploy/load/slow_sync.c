/* Makes every sync of a file last a millisecond longer, as on a disk that is slower than this machine's. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_a_millisecond(void) {
    struct timespec left = {0, 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

int fsync(int file) {
    wait_a_millisecond();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    wait_a_millisecond();
    return (int)syscall(SYS_fdatasync, file);
}
