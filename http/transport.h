/*
 * The border between the extension and its HTTP client, pg_sync_job_http: a library of its own, loaded only by workers that send
 * requests. It knows nothing of PostgreSQL: no server header, no memory context, no ereport.
 *
 * What always holds:
 *   - One thread, the caller's. No function blocks, except to read small files (CA certificates, /etc/hosts). The caller waits for fd() to be
 *     readable, at most next_timeout_ms(), and calls step(); nothing happens meanwhile.
 *   - No function throws, raises or jumps. A function that can fail reports that in its result, with a text for people in `error` (always
 *     terminated, cut if it does not fit). These texts contain no header values, no path, no query and no body.
 *   - Texts that are passed in are copied. They need no terminator, and are not changed.
 *   - Each request that send() has accepted ends with exactly one answer, unless close() comes first.
 *   - Locale, signal handlers and the signal mask stay as they are. SIGPIPE must be ignored, as PostgreSQL's processes do.
 *   - At most max_in_flight sockets to servers are open, some more for name look-ups, and two of the library's own.
 */
#ifndef SYNC_JOB_HTTP_TRANSPORT_H
#define SYNC_JOB_HTTP_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. A library with another one is refused; one whose struct is longer than known here is accepted. */
#define SYNC_JOB_HTTP_VERSION 1

typedef struct SyncJobHttp SyncJobHttp;

typedef struct SyncJobHttpText {
    const char *data;
    size_t length;
} SyncJobHttpText;

typedef struct SyncJobHttpSettings {
    SyncJobHttpText user_agent;
    int32_t max_in_flight; /* for all endpoints together; 1 to 1000 */
    /* "127.0.0.1:5353,…": name servers to use instead of the system's, for tests. */
    SyncJobHttpText dns_servers;
} SyncJobHttpSettings;

/* Where requests go, and what applies to all of them. A request only names its endpoint: nothing in it can choose the host. */
typedef struct SyncJobHttpEndpoint {
    SyncJobHttpText name;
    SyncJobHttpText scheme; /* http or https */
    SyncJobHttpText host;   /* a name in ASCII, an IPv4 address, or an IPv6 address with or without [] */
    int32_t port;           /* 0: that of the scheme */
    int32_t max_in_flight;  /* 1 or more */
    double requests_per_second; /* evenly spaced; 0: no limit. Hops of a redirect are not counted. */
    int32_t connect_timeout_ms; /* name look-up, connect and TLS, for each hop */
    int32_t max_redirects;      /* 0: a redirect is the answer */
    int32_t max_pause_ms;       /* the longest pause of the endpoint that a Retry-After can cause; 0: none */
    /* "10.1.0.0/16", "fd00::/8": where requests may go in addition to the globally reachable addresses. */
    const SyncJobHttpText *networks;
    size_t network_count;
    SyncJobHttpText ca_file;          /* PEM; empty: the system's */
    SyncJobHttpText certificate_file; /* of the client, PEM; empty: none */
    SyncJobHttpText key_file;         /* PEM; empty: in certificate_file */
} SyncJobHttpEndpoint;

typedef struct SyncJobHttpHeader {
    SyncJobHttpText name;
    SyncJobHttpText value;
    int32_t secret; /* not 0: sent only to the endpoint's own scheme, host and port, not where a redirect leads */
} SyncJobHttpHeader;

typedef struct SyncJobHttpRequest {
    uint64_t id; /* chosen by the caller; unique among the requests at a time */
    SyncJobHttpText endpoint;
    SyncJobHttpText method; /* GET, HEAD, POST, PUT, PATCH, DELETE */
    /* Path and query as they go on the wire, already encoded: "/products/A%20B?force=1". */
    SyncJobHttpText target;
    /* Without Host, Content-Length and other headers that say where a message goes or ends: send() refuses these. */
    const SyncJobHttpHeader *headers;
    size_t header_count;
    SyncJobHttpText body;
    int32_t timeout_ms; /* for the whole request including redirects, from its start; waiting for its turn does not count */
    int64_t max_answer_bytes; /* of the body, decompressed */
} SyncJobHttpRequest;

/* What is known about what the server has done. */
typedef enum SyncJobHttpOutcome {
    SYNC_JOB_HTTP_DEFINITE = 1, /* it has answered: `status`, headers and body are there */
    SYNC_JOB_HTTP_UNKNOWN = 2,  /* the request, or a part of it, may have reached a server, and no complete answer came back */
    SYNC_JOB_HTTP_NOT_SENT = 3  /* nothing of the request was sent, or only to a server that answered with a redirect */
} SyncJobHttpOutcome;

typedef enum SyncJobHttpError {
    SYNC_JOB_HTTP_OK = 0,
    SYNC_JOB_HTTP_INVALID = 1,           /* send(), endpoint(): what was passed cannot be sent; `error` says why */
    SYNC_JOB_HTTP_INTERNAL = 2,          /* out of memory, or of file descriptors */
    SYNC_JOB_HTTP_NAME_NOT_FOUND = 3,    /* there is no such host */
    SYNC_JOB_HTTP_NAME_FAILED = 4,       /* the look-up itself failed, or took too long */
    SYNC_JOB_HTTP_ADDRESS_REFUSED = 5,   /* not globally reachable, and in none of the endpoint's networks */
    SYNC_JOB_HTTP_CONNECT_FAILED = 6,    /* refused, unreachable, or took too long */
    SYNC_JOB_HTTP_TLS_FAILED = 7,        /* certificate or handshake */
    SYNC_JOB_HTTP_TIMEOUT = 8,           /* timeout_ms is over */
    SYNC_JOB_HTTP_BROKEN = 9,            /* the connection was closed or reset before the answer was complete */
    SYNC_JOB_HTTP_NOT_HTTP = 10,         /* what came is not HTTP, or its compression is broken */
    SYNC_JOB_HTTP_HEAD_TOO_LARGE = 11,   /* more than 64 kB before the body */
    SYNC_JOB_HTTP_ANSWER_TOO_LARGE = 12, /* the outcome is definite: the body is cut at max_answer_bytes */
    SYNC_JOB_HTTP_REDIRECT_REFUSED = 13, /* too many, to another scheme than https (or http from http), or to no URL */
    SYNC_JOB_HTTP_CANCELLED = 14         /* cancel() */
} SyncJobHttpError;

typedef struct SyncJobHttpAnswer {
    uint64_t id;
    SyncJobHttpOutcome outcome;
    SyncJobHttpError error;
    SyncJobHttpText error_text; /* one line, in lower case, without a full stop; empty if `error` is 0 */
    int32_t status;             /* 0: none came */
    int32_t redirects;          /* how many were followed */
    const SyncJobHttpHeader *headers; /* of the last answer, in its order, with the names as received */
    size_t header_count;
    SyncJobHttpText body;   /* decompressed; any bytes */
    int64_t retry_after_ms; /* from now on, 0 or more, from the server's Retry-After, in seconds or as a date; -1: there is none */
    int64_t elapsed_ms;     /* since it started; 0: it has not started */
    SyncJobHttpText address; /* of the server, for example "203.0.113.7"; empty: none was reached */
} SyncJobHttpAnswer;

typedef struct SyncJobHttpState {
    int32_t in_flight;
    int32_t waiting;     /* for their turn */
    int32_t room;        /* how many more would start within a second, if none of those in flight ended */
    int64_t room_in_ms;  /* when there will be room: 0 now; -1: when one of those in flight or waiting has ended */
    int64_t paused_ms;   /* how much longer the endpoint is paused; 0: it is not paused */
} SyncJobHttpState;

typedef struct SyncJobHttpApi {
    uint32_t version; /* SYNC_JOB_HTTP_VERSION */
    uint32_t size;    /* of this struct */

    /* NULL: failed. One per process is enough: it keeps the connections. */
    SyncJobHttp *(*open)(const SyncJobHttpSettings *settings, char *error, size_t error_size);
    /* Ends everything; what is in flight gets no answer. NULL is allowed. */
    void (*close)(SyncJobHttp *transport);

    /* Creates an endpoint, or changes the one of that name: it applies to requests sent afterwards. INVALID, INTERNAL,
     * and ADDRESS_REFUSED if the host is an address. */
    SyncJobHttpError (*endpoint)(SyncJobHttp *transport, const SyncJobHttpEndpoint *endpoint, char *error, size_t error_size);
    /* No new request of the endpoint starts for that long, for example after a Retry-After that another process received; 0 ends a pause.
     * An answer 429 or 503 with Retry-After does this by itself. An unknown name is ignored. */
    void (*pause)(SyncJobHttp *transport, SyncJobHttpText endpoint, int64_t pause_ms);
    /* All zero for an unknown name. */
    void (*state)(SyncJobHttp *transport, SyncJobHttpText endpoint, SyncJobHttpState *state);

    /* What endpoint() and send() would return, without a transport and without the network: for validation and dry runs. */
    SyncJobHttpError (*check_endpoint)(const SyncJobHttpEndpoint *endpoint, char *error, size_t error_size);
    SyncJobHttpError (*check_request)(const SyncJobHttpRequest *request, char *error, size_t error_size);

    /* Accepts a request; it starts in a later step(), when its endpoint has room. INVALID, INTERNAL: it was not accepted. */
    SyncJobHttpError (*send)(SyncJobHttp *transport, const SyncJobHttpRequest *request, char *error, size_t error_size);
    /* Its answer comes at once: NOT_SENT if it had not started, else UNKNOWN. An id that is not in flight is ignored. */
    void (*cancel)(SyncJobHttp *transport, uint64_t id);

    /* Readable when step() has something to do. The same one as long as the transport is open. */
    int (*fd)(const SyncJobHttp *transport);
    /* -1: nothing happens before fd() is readable. */
    int64_t (*next_timeout_ms)(const SyncJobHttp *transport);
    /* Does what can be done now, and returns how many answers can be taken. */
    int32_t (*step)(SyncJobHttp *transport);

    /* The next answer, which stays valid until it is released; NULL: there is none now. */
    const SyncJobHttpAnswer *(*take)(SyncJobHttp *transport);
    void (*release)(SyncJobHttp *transport, const SyncJobHttpAnswer *answer);

    /* HMAC with "sha256", "sha1", "sha384" or "sha512". `mac` has room for 64 bytes. Returns the length; 0: no such digest. */
    size_t (*hmac)(SyncJobHttpText digest, SyncJobHttpText key, SyncJobHttpText data, unsigned char *mac);
    /* `out` has room for 4 bytes for each 3 or fewer, and a terminator. Returns the length without it. */
    size_t (*base64)(SyncJobHttpText data, char *out);
} SyncJobHttpApi;

/* The only symbol that the library exports: a function without arguments. */
#define SYNC_JOB_HTTP_SYMBOL "sync_job_http_api"
typedef const SyncJobHttpApi *(*SyncJobHttpApiFunction)(void);

#ifdef __cplusplus
}
#endif

#endif
