/* Steps the wall clock of one program, loaded into it with LD_PRELOAD.
 *
 * The machine's own clock is everybody's and CLOCK_MONOTONIC can't be stepped at all, so the fault
 * campaign lays this over the C library: what asks for the wall clock is told the time plus the
 * offset, int64 nanoseconds, found in the file that CAMPAIGN_CLOCK names. Sleeps until a time of
 * the wall clock are the kernel's and stay as they were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_ns;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CAMPAIGN_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
        offset_ns = at == MAP_FAILED ? NULL : at;
        close(file);
    }
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t clock, struct timespec *told)
{
    int failed = real_clock_gettime ? real_clock_gettime(clock, told)
                                    : (int)syscall(SYS_clock_gettime, clock, told);
    if (!failed && offset_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t now = (int64_t)told->tv_sec * 1000000000 + told->tv_nsec + *offset_ns;
        told->tv_sec = now / 1000000000;
        told->tv_nsec = now % 1000000000;
    }
    return failed;
}

int gettimeofday(struct timeval *told, void *zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return (time_t)-1;
    if (told)
        *told = now.tv_sec;
    return now.tv_sec;
}
