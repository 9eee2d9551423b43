/* kafka_library.c -- librdkafka, found, looked at and loaded.
 *
 *     $PERILUNE_RDKAFKA | librdkafka.so.1 --dlopen--> all symbols? --> version of 1.9 or newer? --> it stays
 *
 * The program neither links librdkafka nor needs it: who configures Kafka has it installed, and who has not is told
 * how.  Since 1.6 partitions move one by one when consumers come and go (cooperative-sticky), without which a node
 * that joins would take every job of every node away from it; 1.9 is the first that says goodbye to a server without
 * waiting for ever for one that does not answer.
 *
 * A library that was loaded stays until the process ends: its threads and its tables of OpenSSL may outlive what we
 * asked of it.  So it is state of the process: the one static variable here, behind a lock.  What does not fit is
 * closed again; nothing of it ran but functions that return a constant. */
#include "jobs/kafka_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 0x01090000 /* as rd_kafka_version() counts: 1.9.0 */

static const char INSTALL[] = "install it: apt install librdkafka1, dnf install librdkafka, apk add librdkafka";

/* ISO C has no way from an object's address to a function's; POSIX says that this one works. */
static bool find_symbol(void *handle, const char *name, void *slot) {
    void *at = dlsym(handle, name);
    memcpy(slot, &at, sizeof(at));
    return at != NULL;
}

/* NULL, or the first that is missing. */
static const char *find_symbols(void *handle, struct kafka_calls *c) {
#define XX(result, name, arguments)                                                                                  \
    if (!find_symbol(handle, "rd_kafka_" #name, &c->name)) return "rd_kafka_" #name;
    KAFKA_FUNCTIONS(XX)
#undef XX
    return NULL;
}

static bool fits(void *handle, const char *file, struct kafka_calls *c, char *why, size_t size) {
    if (!find_symbol(handle, "rd_kafka_version", &c->version)) {
        snprintf(why, size, "%s is no librdkafka: it has no rd_kafka_version(); %s", file, INSTALL);
        return false;
    }
    int version = c->version();
    if (version < LEAST) {
        snprintf(why, size, "%s is librdkafka %d.%d.%d; 1.9 is the oldest that works", file, version >> 24 & 0xff,
                 version >> 16 & 0xff, version >> 8 & 0xff);
        return false;
    }
    const char *missing = find_symbols(handle, c);
    if (missing == NULL) return true;
    snprintf(why, size, "%s is librdkafka %.20s, which has no %s(): take a newer one", file, c->version_str(), missing);
    return false;
}

static bool library_open(struct kafka_calls *out, const char *file, char *why, size_t size) {
    struct kafka_calls fresh;
    void *h = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (h == NULL) {
        const char *said = dlerror();
        snprintf(why, size, "Kafka needs librdkafka, which cannot be loaded (%.200s); %s", said ? said : file, INSTALL);
        return false;
    }
    if (!fits(h, file, &fresh, why, size)) {
        dlclose(h);
        return false;
    }
    *out = fresh;
    return true;
}

const struct kafka_calls *kafka_library_get(const char *file, char *why, size_t size) {
    static struct kafka_calls one; /* of the process, see above */
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const char *variable = getenv("PERILUNE_RDKAFKA");
    if (file == NULL) file = variable != NULL && variable[0] != '\0' ? variable : "librdkafka.so.1";
    pthread_mutex_lock(&lock);
    bool ok = one.version != NULL || library_open(&one, file, why, size);
    pthread_mutex_unlock(&lock);
    return ok ? &one : NULL;
}
