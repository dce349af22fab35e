/* A fixed number of requests over keep-alive connections, each answer checked.
 *
 *   load PORT CONNECTIONS TOTAL RATE REQUESTS_FILE KINDS NEEDLE LAST_BODY_FILE
 *
 * REQUESTS_FILE has KINDS requests of the same size, as they go over the wire; they are sent in
 * turn. An answer is right when its status is 200, its framing whole, and its body has NEEDLE and
 * ends with '}' or, for server-sent events, with "data: [DONE]\n\n".
 *
 * With RATE 0 each connection asks again as soon as it is answered. Otherwise the requests are due
 * at times drawn beforehand, RATE a second on average (a Poisson process, always the same one), and
 * latency is counted from when a request was due, whether or not a connection was free to send it:
 * a server that stalls is not spared those who would have come meanwhile.
 *
 * Prints {"requests":N,"wrong":N,"events":N,"seconds":S,"latency_ms":[P50,P99,P99.9],
 * "first_ms":P50,"again":N,"why":"..."}, where comments are no events, `first` is the body's first
 * byte, `again` how many were asked a second time, and `why` the first line of the last answer that
 * was wrong, and leaves the last body in LAST_BODY_FILE.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 16, PATIENCE_MS = 20000 };

typedef struct {
    int fd, busy;
    int again;            /* it is asked the same a second time */
    const char *asked;
    size_t size;          /* bytes of `in` */
    size_t head;          /* bytes of the head; 0 until it is whole */
    size_t at;            /* where the next chunk begins */
    long length;          /* of the body; -1 when it comes in chunks */
    size_t body_size;
    double due, first;    /* seconds; `first` is 0 until there is a byte of the body */
    char in[ROOM], body[ROOM];
} Connection;

static struct sockaddr_in server;
static int poller;
static char *requests;
static size_t request_size;
static const char *needle;
static char why[80];                      /* the first line of the last wrong answer */
static long kinds, total, started, finished, wrong, events, repeated;
static double began, rate;
static double *due, *latency, *first;     /* `due` counts from `began` */
static Connection **idle;
static int idle_count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void dial(Connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&server, sizeof server)) { perror("load: connect"); exit(1); }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &wanted);
}

static void post(Connection *c) {
    c->first = 0;
    c->size = c->head = c->body_size = 0;
    for (size_t sent = 0; sent < request_size;) {
        ssize_t some = send(c->fd, c->asked + sent, request_size - sent, MSG_NOSIGNAL);
        if (some <= 0) return;   /* it is closed, as will be read from it */
        sent += some;
    }
}

static void ask(Connection *c, double when) {
    c->asked = requests + started++ % kinds * request_size;
    c->busy = 1;
    c->again = 0;
    c->due = when;
    post(c);
}

/* The connection has nothing to wait for: it asks at once, or when the next request is due. */
static void next(Connection *c) {
    c->busy = 0;
    if (rate) idle[idle_count++] = c;
    else if (started < total) ask(c, now());
}

/* Sends what is due, and tells how long nothing else is; -1 when nothing will be. */
static double send_due(void) {
    while (rate && started < total && idle_count) {
        double left = began + due[started] - now();
        if (left > 0) return left;
        ask(idle[--idle_count], began + due[started]);
    }
    return -1;
}

static void read_head(Connection *c) {
    char *end = memmem(c->in, c->size, "\r\n\r\n", 4);
    if (!end) return;
    *end = 0;
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    c->length = length ? strtol(length + 17, NULL, 10) : -1;
    c->head = c->at = end + 4 - c->in;
}

/* Whether the body is whole; it is then in `body`. */
static int read_body(Connection *c) {
    if (c->length >= 0) {
        if (c->size - c->head < (size_t)c->length) return 0;
        c->body_size = c->length;
        memcpy(c->body, c->in + c->head, c->length);
        return 1;
    }
    for (;;) {
        char *end = memmem(c->in + c->at, c->size - c->at, "\r\n", 2);
        if (!end) return 0;
        size_t chunk = strtoul(c->in + c->at, NULL, 16), start = end + 2 - c->in;
        if (c->size < start + chunk + 2) return 0;
        if (!chunk) return 1;
        memcpy(c->body + c->body_size, c->in + start, chunk);
        c->body_size += chunk;
        c->at = start + chunk + 2;
    }
}

static int is_right(Connection *c) {
    static const char done[] = "data: [DONE]\n\n";
    size_t size = c->body_size, mark = sizeof done - 1;
    if (strncmp(c->in, "HTTP/1.1 200 ", 13) || !size) return 0;
    if (!memmem(c->body, size, needle, strlen(needle))) return 0;
    if (c->body[size - 1] == '}') return 1;
    for (char *p = c->body, *e; (e = memmem(p, c->body + size - p, "\n\n", 2)); p = e + 2) events += *p != ':';
    return size >= mark && !memcmp(c->body + size - mark, done, mark);
}

static void end(Connection *c, int right) {
    double at = now();
    if (!right) {
        snprintf(why, sizeof why, "%.79s", c->size ? c->in : "closed");
        why[strcspn(why, "\r\n\"\\")] = 0;
    }
    latency[finished] = at - c->due;
    first[finished] = (c->first ? c->first : at) - c->due;
    finished++;
    wrong += !right;
}

static void receive(Connection *c) {
    ssize_t got = recv(c->fd, c->in + c->size, ROOM - 1 - c->size, 0);
    if (got <= 0 || !c->busy) {
        /* Closed for having had nothing to do, just when it was asked: every client asks again, once. */
        int was_busy = c->busy, is_stale = was_busy && !c->size && !c->again;
        if (was_busy && !is_stale) end(c, 0);
        close(c->fd);
        dial(c);
        if (is_stale) {
            c->again = 1;
            repeated++;
            post(c);
            return;
        }
        if (was_busy) next(c);
        return;
    }
    c->size += got;
    c->in[c->size] = 0;
    if (!c->head) read_head(c);
    if (c->head && !c->first && c->size > c->head) c->first = now();
    if (!c->head || !read_body(c)) return;
    end(c, is_right(c));
    next(c);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double ms(double *sorted, double share) {
    return sorted[(long)((total - 1) * share)] * 1e3;
}

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(1); }
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *data = malloc(*size);
    if (fread(data, 1, *size, file) != *size) { perror(path); exit(1); }
    fclose(file);
    return data;
}

static void prepare(int width, char **args) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    total = atol(args[3]);
    rate = atof(args[4]);
    kinds = atol(args[6]);
    requests = read_file(args[5], &request_size);
    request_size /= kinds;
    needle = args[7];
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(args[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    poller = epoll_create1(0);
    idle = calloc(width, sizeof *idle);
    latency = calloc(total, sizeof *latency);
    first = calloc(total, sizeof *first);
    due = calloc(total, sizeof *due);
    srand48(1);
    double at = 0;
    for (long i = 0; rate && i < total; i++) due[i] = at += -log(1 - drand48()) / rate;
}

int main(int count, char **args) {
    if (count != 9) { fprintf(stderr, "usage: see load.c\n"); return 2; }
    int width = atoi(args[2]);
    prepare(width, args);
    Connection *all = calloc(width, sizeof *all), *last = all;
    began = now();
    for (int i = 0; i < width; i++) dial(&all[i]), next(&all[i]);
    if (rate) began = now();
    struct epoll_event ready[256];
    while (finished < total) {
        double left = send_due(), most = PATIENCE_MS / 1e3;
        int is_patient = left < 0 || left > most;
        if (is_patient) left = most;
        struct timespec wait = {(time_t)left, (long)((left - (time_t)left) * 1e9)};
        struct pollfd one = {.fd = poller, .events = POLLIN};
        if (rate) ppoll(&one, 1, &wait, NULL);   /* to the microsecond */
        int n = epoll_wait(poller, ready, 256, rate ? 0 : PATIENCE_MS);
        if (n == 0 && (!rate || (is_patient && !one.revents))) {
            fprintf(stderr, "load: no answer for 20 s, after %ld of %ld\n", finished, total);
            return 1;
        }
        for (int i = 0; i < n; i++) receive(last = ready[i].data.ptr);
    }
    double seconds = now() - began;
    FILE *file = fopen(args[8], "wb");
    fwrite(last->body, 1, last->body_size, file);
    fclose(file);
    qsort(latency, total, sizeof *latency, by_size);
    qsort(first, total, sizeof *first, by_size);
    printf("{\"requests\":%ld,\"wrong\":%ld,\"events\":%ld,\"seconds\":%.6f,"
           "\"latency_ms\":[%.4f,%.4f,%.4f],\"first_ms\":%.4f,\"again\":%ld,\"why\":\"%s\"}\n", finished, wrong, events,
           seconds, ms(latency, .5), ms(latency, .99), ms(latency, .999), ms(first, .5), repeated, why);
    return 0;
}
