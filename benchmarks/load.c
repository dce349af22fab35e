/* A fixed number of one request over keep-alive connections, each answer checked.
 *
 *   load PORT CONNECTIONS TOTAL REQUEST_FILE NEEDLE LAST_BODY_FILE
 *
 * REQUEST_FILE is the request as it goes over the wire. An answer is right when its status is 200,
 * its framing whole, and its body has NEEDLE and ends with '}' or, for server-sent events, with
 * "data: [DONE]\n\n". Prints {"requests":N,"wrong":N,"events":N,"seconds":S} and leaves the last
 * body in LAST_BODY_FILE.
 */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 18, PATIENCE_MS = 20000 };

typedef struct {
    int fd, busy;
    size_t size;          /* bytes of `in` */
    size_t head;          /* bytes of the head; 0 until it is whole */
    size_t at;            /* where the next chunk begins */
    long length;          /* of the body; -1 when it comes in chunks */
    size_t body_size;
    char in[ROOM], body[ROOM];
} Connection;

static struct sockaddr_in server;
static int poller;
static char *request;
static size_t request_size;
static const char *needle;
static long total, started, finished, wrong, events;

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

static void ask(Connection *c) {
    c->busy = 0;
    if (started == total) return;
    started++;
    c->busy = 1;
    c->size = c->head = c->body_size = 0;
    if (send(c->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) {
        perror("load: send");
        exit(1);
    }
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
    for (char *p = c->body; (p = memmem(p, c->body + size - p, "\n\n", 2)); p += 2) events++;
    return size >= mark && !memcmp(c->body + size - mark, done, mark);
}

static void receive(Connection *c) {
    ssize_t got = recv(c->fd, c->in + c->size, ROOM - 1 - c->size, 0);
    if (got <= 0 || !c->busy) {
        if (c->busy) wrong++, finished++;
        close(c->fd);
        dial(c);
        ask(c);
        return;
    }
    c->size += got;
    c->in[c->size] = 0;
    if (!c->head) read_head(c);
    if (!c->head || !read_body(c)) return;
    finished++;
    wrong += !is_right(c);
    if (finished < total) ask(c);
}

static char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(1); }
    char *data = malloc(1 << 20);
    *size = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

int main(int count, char **args) {
    if (count != 7) { fprintf(stderr, "usage: see load.c\n"); return 2; }
    int width = atoi(args[2]);
    total = atol(args[3]);
    request = read_file(args[4], &request_size);
    needle = args[5];
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(args[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    poller = epoll_create1(0);
    Connection *all = calloc(width, sizeof *all), *last = all;
    double began = now();
    for (int i = 0; i < width; i++) dial(&all[i]), ask(&all[i]);
    struct epoll_event ready[256];
    while (finished < total) {
        int n = epoll_wait(poller, ready, 256, PATIENCE_MS);
        if (n == 0) { fprintf(stderr, "load: no answer for 20 s\n"); return 1; }
        for (int i = 0; i < n; i++) receive(last = ready[i].data.ptr);
    }
    double seconds = now() - began;
    FILE *file = fopen(args[6], "wb");
    fwrite(last->body, 1, last->body_size, file);
    fclose(file);
    printf("{\"requests\":%ld,\"wrong\":%ld,\"events\":%ld,\"seconds\":%.6f}\n",
           finished, wrong, events, seconds);
    return 0;
}
