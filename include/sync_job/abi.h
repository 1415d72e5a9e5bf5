/* The border between pg_sync_job and native controllers: plain C. Controllers are written against <sync_job/controller.hpp>.
 *
 * Only pointers with lengths, integers and return codes cross it: no C++ type, no exception and no longjmp. Neither side frees
 * what the other has allocated. What the host hands out lives until the call that it was handed to returns; what a controller
 * passes is copied before the host's function returns. Both sides check the version first: its two numbers, magic and version,
 * are at the same place in every version.
 */
#ifndef SYNC_JOB_ABI_H
#define SYNC_JOB_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SYNC_JOB_ABI_MAGIC 0x4e4a5953u /* SYJN */
#define SYNC_JOB_ABI_VERSION 1u

/* What every function returns. After SYNC_JOB_FAILED, last_error() says why. */
#define SYNC_JOB_OK 0
#define SYNC_JOB_FAILED 1

/* In the encoding of the database. data NULL: no text. Not zero-terminated. */
typedef struct sync_job_text {
    const char *data;
    size_t size;
} sync_job_text;

enum sync_job_kind {
    SYNC_JOB_NULL = 0,
    SYNC_JOB_BOOLEAN = 1,   /* number: 0 or 1 */
    SYNC_JOB_INTEGER = 2,   /* number */
    SYNC_JOB_FLOAT = 3,     /* number: the bits of a double */
    SYNC_JOB_TEXT = 4,      /* data; number: its bytes */
    SYNC_JOB_BYTES = 5,     /* the same */
    SYNC_JOB_DATE = 6,      /* number: days since 1970-01-01; INT64_MAX and INT64_MIN: infinity and -infinity */
    SYNC_JOB_TIMESTAMP = 7, /* number: microseconds since 1970-01-01 UTC; the same */
    SYNC_JOB_JSON = 8,      /* from the controller only: data is JSON text */
    SYNC_JOB_OTHER = 9,     /* from the host: text_of() returns it as text. To the host: the value of column `number` of a row that
                               lasts; data is the `stored` of that row */
    SYNC_JOB_TEXTS = 10,    /* parameters only: data points to `number` sync_job_text */
    SYNC_JOB_INTEGERS = 11  /* parameters only: data points to `number` int64_t */
};

typedef struct sync_job_value {
    int64_t number;
    const char *data;
    uint32_t kind;
    uint32_t set; /* in a target: the controller has set it, perhaps to NULL; data is then from allocate(), or `stored` */
} sync_job_value;

typedef struct sync_job_column {
    sync_job_text name; /* size 0: it was dropped */
    uint32_t type;      /* the OID of its type; for a domain, of its base type */
    uint32_t reserved;
} sync_job_column;

typedef struct sync_job_columns {
    const sync_job_column *columns;
    uint64_t count;
} sync_job_columns;

/* A document, a job, or a row of a query's result. */
typedef struct sync_job_row {
    const sync_job_columns *columns;
    sync_job_value *values; /* one per column; NULL: not read yet, load() reads them */
    void *stored;           /* belongs to the host; NULL: there is no row */
    uint32_t is_new;        /* a target that is being inserted */
    uint32_t lasts;         /* not 0: lives until call() returns; 0: until free_rows() */
} sync_job_row;

typedef struct sync_job_rows {
    const sync_job_columns *columns;
    sync_job_row *rows;
    uint64_t count;
    uint64_t affected; /* rows returned or changed */
    void *stored;      /* belongs to the host, for free_rows() */
} sync_job_rows;

typedef struct sync_job_error {
    sync_job_text sqlstate, message, detail, hint;
} sync_job_error;

typedef struct sync_job_target {
    sync_job_text operation, document_type, document_name;
    sync_job_text context; /* a JSON object; data NULL: the job keeps its own */
} sync_job_target;

enum sync_job_level { SYNC_JOB_LOG = 0, SYNC_JOB_NOTICE = 1, SYNC_JOB_WARNING = 2 };

typedef struct sync_job_host sync_job_host;

/* The functions of the host that a controller may call, only during create() and call(), and with the host passed to these. After
 * a failure they all fail, except end_savepoint() for a savepoint that began before the failure. Rolling that back clears the
 * failure, unless it was a cancellation. A call during which a failure was not cleared fails, whatever it returns. */
typedef struct sync_job_api {
    uint32_t magic, version;
    uint64_t size; /* of this struct */
    int32_t (*last_error)(sync_job_host *, sync_job_error *out);
    /* Reports an exception: it becomes the error of the job. */
    int32_t (*fail)(sync_job_host *, const sync_job_error *);
    int32_t (*allocate)(sync_job_host *, size_t bytes, void **out);
    int32_t (*load)(sync_job_host *, sync_job_row *);
    int32_t (*text_of)(sync_job_host *, const sync_job_row *, uint64_t column, uint32_t as_json, sync_job_text *out);
    int32_t (*execute)(sync_job_host *, sync_job_text sql, const sync_job_value *arguments, uint64_t count, sync_job_rows *out);
    int32_t (*free_rows)(sync_job_host *, sync_job_rows *);
    int32_t (*begin_savepoint)(sync_job_host *);
    int32_t (*end_savepoint)(sync_job_host *, uint32_t release); /* 0: roll back */
    int32_t (*check_interrupts)(sync_job_host *);
    int32_t (*progress)(sync_job_host *, double percent, sync_job_text title, sync_job_text description);
    int32_t (*log)(sync_job_host *, uint32_t level, sync_job_text message);
    /* The results of a call: targets; and what execute() and before_relay() return, as JSON. */
    int32_t (*add_target)(sync_job_host *, const sync_job_target *);
    int32_t (*set_result)(sync_job_host *, sync_job_text json);
} sync_job_api;

enum sync_job_hook {
    SYNC_JOB_EXECUTE = 0,
    SYNC_JOB_GET_TARGET_DOCUMENT = 1,
    SYNC_JOB_GET_MULTIPLE_TARGET_DOCUMENTS = 2,
    SYNC_JOB_UPDATE_TARGET_DOC = 3,
    SYNC_JOB_UPDATE_MANY = 4,
    SYNC_JOB_AFTER_START = 5,
    SYNC_JOB_BEFORE_RELAY = 6,
    SYNC_JOB_AFTER_RELAY = 7,
    SYNC_JOB_BEFORE_SYNC = 8,
    SYNC_JOB_AFTER_SYNC = 9,
    SYNC_JOB_FINISHED = 10,
    SYNC_JOB_FAILED_HOOK = 11
};

typedef struct sync_job_call {
    uint64_t size; /* of this struct */
    const sync_job_api *api;
    sync_job_host *host;
    uint32_t hook;
    uint32_t reserved;
    uint64_t count; /* of jobs, sources and targets: 1, except for SYNC_JOB_UPDATE_MANY */
    sync_job_row *jobs, *sources, *targets;
    sync_job_text extra; /* JSON: the targets, the child jobs, or the error */
} sync_job_call;

/* What the library exports, under the name sync_job_controller. */
typedef struct sync_job_library {
    uint32_t magic, version;
    uint64_t size;  /* of this struct */
    uint64_t hooks; /* a bit, 1 << hook, for each hook that it has */
    int32_t (*create)(const sync_job_api *, sync_job_host *, void **controller);
    void (*destroy)(void *controller);
    int32_t (*call)(void *controller, sync_job_call *);
} sync_job_library;

#ifdef __cplusplus
}
#endif

#endif
