/* test_blob.c -- counted bytes. */
#include "base/blob.h"

#include <pthread.h>

#include "unit.h"

TEST_FAULT(takes_the_memory_of_a_buffer) {
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, "xxhello");
    buf_consume(&b, 2);
    const char *data = b.data;
    struct blob *blob = blob_take(&b);
    CHECK_UINT(buf_len(&b), 0); /* taken also when it failed */
    CHECK(b.data == NULL);
    if (FAULTED(blob)) return;
    CHECK(blob != NULL && blob->data == data + 2); /* nothing is moved */
    CHECK_SLICE(blob_get(blob), SLICE("hello"));
    blob_put(blob);
}

TEST(a_buffer_that_failed_makes_none) {
    struct buf b;
    buf_init(&b, 3);
    buf_puts(&b, "abc");
    buf_puts(&b, "d");
    CHECK(blob_take(&b) == NULL);
}

TEST_FAULT(of_nothing) {
    struct blob *blob = blob_copy(SLICE(""));
    if (FAULTED(blob)) return;
    CHECK(blob != NULL);
    CHECK_SLICE(blob_get(blob), SLICE(""));
    blob_put(blob);
    blob_put(NULL);
    CHECK(blob_ref(NULL) == NULL);
}

static void *share(void *arg) {
    struct blob *b = arg;
    for (int i = 0; i < 20000; i++) {
        blob_put(blob_ref(b));
        CHECK_UINT(blob_get(b).len, 6);
    }
    blob_put(b);
    return NULL;
}

TEST_FAULT(the_last_holder_frees_on_any_thread) {
    struct blob *b = blob_copy(SLICE("shared"));
    pthread_t threads[4];
    if (FAULTED(b)) return;
    CHECK(b != NULL);
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, share, blob_ref(b)), 0);
    blob_put(b);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}
