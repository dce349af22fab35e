/* A provider on one thread: what a proxy costs shows when nothing behind it is slow. It speaks
 * enough of OpenAI's chat completions for a benchmark, and keeps its own count.
 *
 *   upstream PORT EVENTS PACE_US DELAY_US TOGETHER
 *
 * A POST whose body has "stream":true gets EVENTS server-sent events ([DONE] is the last), one
 * every PACE_US microseconds; any other POST gets a chat completion of about 1 kB, and when the body
 * names the model "poor", one that refuses. Both begin after DELAY_US microseconds, a stream up to
 * PACE_US later: the events of many come one by one, as of streams that know nothing of each other,
 * or, when TOGETHER is 1, those of all at once. A GET gets the counts:
 * {"requests":N,"streams":N,"open":N}, where those are open that still wait for something.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16384, ROOM = 16384, MOST_ROOM = 1 << 24, LONGEST = 1024 };
enum { IDLE = -1, WAITING = -2, WAITING_POOR = -3 };   /* instead of an event to send */
enum { CROWD = 1000, TURN_US = 1000 };   /* that many streams are looked at once in a while only */

typedef struct {
    int fd;
    size_t size;      /* bytes of `in` */
    size_t room;      /* that `in` has */
    int next;         /* the event to send next, or one of the above */
    uint64_t due;     /* when, in microseconds */
    char *in;
} Connection;

static Connection *connections[MOST];
static int poller, timer, events, highest, open_now, together;
static uint64_t pace_us, delay_us;
static unsigned long requests, streams;
static char whole[4096], poor[4096], *event;   /* `event` holds `events` slots of LONGEST bytes */
static size_t whole_size, poor_size, *event_size;

static const char SSE_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "x-request-id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n";
#define USAGE "\"usage\":{\"prompt_tokens\":212,\"completion_tokens\":96,\"total_tokens\":308," \
    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0}," \
    "\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0}}"

static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static size_t write_whole(char *into, const char *text) {
    char body[3000];
    int size = sprintf(body,
        "{\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion\",\"created\":1767225600,"
        "\"model\":\"bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"%s\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"
        "\"finish_reason\":\"stop\"}]," USAGE ",\"service_tier\":\"default\","
        "\"system_fingerprint\":\"fp_bench\"}", text);
    return sprintf(into,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_bench\r\n"
        "Content-Length: %d\r\n\r\n%s", size, body);
}

static void write_answers(void) {
    char text[600] = "", body[3000];
    while (strlen(text) < 430) strcat(text, "The quick brown fox jumps over the lazy dog. ");
    whole_size = write_whole(whole, text);
    poor_size = write_whole(poor, "I'm sorry, but I can't help with that.");

    event = calloc(events, LONGEST);
    event_size = calloc(events, sizeof *event_size);
    for (int i = 0; i < events; i++) {
        const char *choices = "", *finish = "null";
        char delta[64];
        sprintf(delta, "{\"content\":\" word%d\"}", i);
        if (i == 0) strcpy(delta, "{\"role\":\"assistant\",\"content\":\"\"}");
        if (i == events - 3) { strcpy(delta, "{}"); finish = "\"stop\""; }
        if (i == events - 1) {
            strcpy(body, "data: [DONE]\n\n");
        } else {
            char choice[200];
            sprintf(choice, "{\"index\":0,\"delta\":%s,\"logprobs\":null,\"finish_reason\":%s}",
                    delta, finish);
            choices = i == events - 2 ? "" : choice;
            sprintf(body,
                "data: {\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\","
                "\"created\":1767225600,\"model\":\"bench\",\"service_tier\":\"default\","
                "\"system_fingerprint\":\"fp_bench\",\"choices\":[%s],%s}\n\n",
                choices, i == events - 2 ? USAGE : "\"usage\":null");
        }
        event_size[i] = sprintf(event + i * LONGEST, "%zx\r\n%s\r\n%s", strlen(body), body,
                                i == events - 1 ? "0\r\n\r\n" : "");
    }
}

static void drop(Connection *c) {
    connections[c->fd] = NULL;
    open_now -= c->next != IDLE;
    close(c->fd);
    free(c->in);
    free(c);
}

/* Every answer fits a socket's buffer: a client that does not read is dropped. */
static int put(Connection *c, const char *data, size_t size) {
    return send(c->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

/* The next moment that is this stream's within the pace, whenever it was asked for: each has its
 * own, spread evenly by the golden ratio, or all the same. Left to when they were asked for, it would
 * be by chance whether events come together; those that do cost a proxy a third. */
static uint64_t own_moment(uint64_t from) {
    uint64_t own = together ? 0 : (uint64_t)(uint32_t)(streams * 2654435769u) * pace_us >> 32;
    return from + (own + pace_us - from % pace_us) % pace_us;
}

static int answer(Connection *c, int is_get, const char *body, size_t size) {
    if (is_get) {
        char told[128], reply[256];
        int n = sprintf(told, "{\"requests\":%lu,\"streams\":%lu,\"open\":%d}",
                        requests, streams, open_now);
        return put(c, reply, sprintf(reply, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, told));
    }
    requests++;
    const char *flag = memmem(body, size, "\"stream\"", 8);
    if (flag) for (flag += 8; *flag == ':' || *flag == ' ';) flag++;
    if (!flag || strncmp(flag, "true", 4)) {
        int is_poor = memmem(body, size, "\"poor\"", 6) != NULL;
        if (!delay_us) return is_poor ? put(c, poor, poor_size) : put(c, whole, whole_size);
        c->next = is_poor ? WAITING_POOR : WAITING;
        c->due = now_us() + delay_us;
        open_now++;
        return 0;
    }
    streams++;
    open_now++;
    c->next = 0;
    c->due = own_moment(now_us() + delay_us + pace_us);
    return put(c, SSE_HEAD, sizeof SSE_HEAD - 1);
}

/* Makes room for what a request still brings. */
static int grow(Connection *c) {
    if (c->room - c->size > ROOM / 2) return 0;
    if (c->room >= MOST_ROOM) return -1;
    c->room *= 2;
    c->in = realloc(c->in, c->room);
    return c->in ? 0 : -1;
}

/* Answers the first whole request in `in`, and those behind it; a chunked body counts as none. */
static int serve(Connection *c) {
    while (c->size && c->next == IDLE) {
        c->in[c->size] = 0;
        char *end = memmem(c->in, c->size, "\r\n\r\n", 4);
        if (!end) return 0;
        char *length = strcasestr(c->in, "\r\ncontent-length:");
        size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
        size_t head = end + 4 - c->in, need = head + body;
        if (c->size < need) return 0;
        int failed = answer(c, c->in[0] == 'G', c->in + head, body);
        memmove(c->in, c->in + need, c->size - need);
        c->size -= need;
        if (failed) return -1;
    }
    return 0;
}

/* Sends what is due on one connection, and what follows it there; -1 when nobody takes it. */
static int send_due(Connection *c) {
    int failed;
    if (c->next >= 0) {
        int i = c->next++;
        failed = put(c, event + i * LONGEST, event_size[i]);
        c->due += pace_us;
        if (c->next < events) return failed;
    } else {
        failed = c->next == WAITING ? put(c, whole, whole_size) : put(c, poor, poor_size);
    }
    c->next = IDLE;
    open_now--;
    return failed || serve(c) ? -1 : 0;
}

/* Sends all that is due, and sets the timer for what is next. */
static void play(void) {
    static uint64_t looked;
    uint64_t now = now_us(), soonest = UINT64_MAX;
    if (!open_now) return;
    if (open_now > CROWD && now < looked + TURN_US) {
        soonest = looked + TURN_US;
    } else {
        looked = now;
        for (int fd = 0; fd <= highest; fd++) {
            Connection *c = connections[fd];
            if (!c || c->next == IDLE) continue;
            if (c->due <= now && send_due(c)) { drop(c); continue; }
            if (c->next != IDLE && c->due < soonest) soonest = c->due;
        }
    }
    if (soonest == UINT64_MAX) return;
    struct itimerspec at = {.it_value = {soonest / 1000000, soonest % 1000000 * 1000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

int main(int count, char **args) {
    if (count != 6) { fprintf(stderr, "usage: see upstream.c\n"); return 2; }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    events = atoi(args[2]);
    pace_us = strtoull(args[3], NULL, 10);
    delay_us = strtoull(args[4], NULL, 10);
    together = atoi(args[5]);
    write_answers();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(args[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 8192)) { perror("upstream"); return 1; }
    poller = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &wanted);
    timer = wanted.data.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &wanted);
    for (;; play()) {
        int n = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                int new = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (new < 0) continue;
                if (new >= MOST) { close(new); continue; }
                setsockopt(new, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                Connection *c = connections[new] = malloc(sizeof *c);
                c->fd = new, c->size = 0, c->next = IDLE, c->room = ROOM, c->in = malloc(ROOM);
                if (new > highest) highest = new;
                wanted.data.fd = new;
                epoll_ctl(poller, EPOLL_CTL_ADD, new, &wanted);
                continue;
            }
            uint64_t rings;
            if (fd == timer && read(timer, &rings, sizeof rings)) continue;
            Connection *c = connections[fd];
            ssize_t got = c ? recv(fd, c->in + c->size, c->room - 1 - c->size, 0) : 0;
            if (!c) continue;
            if (got <= 0) { drop(c); continue; }
            c->size += got;
            if (serve(c) || grow(c)) drop(c);
        }
    }
}
