/* A wall clock of its own for one process: loaded by LD_PRELOAD, see clock_shim.py.
 *
 * CLOCK_REALTIME, gettimeofday and time are moved by the microseconds that stand in the file named by
 * MAINSPRING_CLOCK_OFFSET_FILE (signed, 64 bits, native order), read at each call. CLOCK_MONOTONIC is left alone. Where the
 * program hands an instant of the wall clock back to the kernel as a deadline (locks, futexes, absolute sleeps), the offset
 * is taken off again, so that it waits as long as it meant to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_US 1000000LL
#define NEXT(name) ((__typeof__(&name))next(#name))

static const volatile int64_t *offset;

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("MAINSPRING_CLOCK_OFFSET_FILE");
    if (!path)
        return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "clock shim: cannot map %s\n", path);
        abort();
    }
    close(file);
    offset = mapped;
}

static int64_t offset_us(void)
{
    return offset ? __atomic_load_n(offset, __ATOMIC_RELAXED) : 0;
}

static void move(struct timespec *at, int64_t by_us)
{
    int64_t ns = at->tv_nsec + by_us % SECOND_US * 1000;
    at->tv_sec += by_us / SECOND_US + (ns >= 1000000000LL) - (ns < 0);
    at->tv_nsec = ns + (ns < 0 ? 1000000000LL : 0) - (ns >= 1000000000LL ? 1000000000LL : 0);
}

static int is_wall(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
}

/* The real instant of a deadline that the program took from its own wall clock. */
static const struct timespec *real(const struct timespec *deadline, struct timespec *room)
{
    if (!deadline)
        return NULL;
    *room = *deadline;
    move(room, -offset_us());
    if (room->tv_sec < 0)
        room->tv_sec = room->tv_nsec = 0;
    return room;
}

int clock_gettime(clockid_t clock, struct timespec *at)
{
    static __typeof__(&clock_gettime) call;
    if (!call)
        call = NEXT(clock_gettime);
    int answer = call(clock, at);
    if (answer == 0 && is_wall(clock))
        move(at, offset_us());
    return answer;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return (time_t)-1;
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *rest)
{
    struct timespec room;
    int is_deadline = (flags & TIMER_ABSTIME) && is_wall(clock);
    return NEXT(clock_nanosleep)(clock, flags, is_deadline ? real(until, &room) : until, rest);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    struct timespec room;
    return NEXT(sem_timedwait)(semaphore, real(until, &room));
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict until)
{
    struct timespec room;
    return NEXT(sem_clockwait)(semaphore, clock, is_wall(clock) ? real(until, &room) : until);
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
    struct timespec room;
    return NEXT(pthread_mutex_timedlock)(mutex, real(until, &room));
}

int pthread_cond_clockwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock,
                           const struct timespec *restrict until)
{
    struct timespec room;
    return NEXT(pthread_cond_clockwait)(condition, mutex, clock, is_wall(clock) ? real(until, &room) : until);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    struct timespec room;
    /* glibc's own note of the clock that the condition was made with. */
    clockid_t clock = condition->__data.__wrefs & 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    return NEXT(pthread_cond_clockwait)(condition, mutex, clock, is_wall(clock) ? real(until, &room) : until);
}

/* Libraries that make their own locks call the kernel by number. */
long syscall(long number, ...)
{
    static long (*call)(long, ...);
    long a[6];
    va_list rest;
    struct timespec room;
    if (!call)
        call = (long (*)(long, ...))next("syscall");
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET)
        a[3] = (long)real((const struct timespec *)a[3], &room);
    return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
