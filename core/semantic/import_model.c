/* import_model.c -- the rows of a static embedding model.
 *
 *     piece --> mapping[piece], or itself --> a row of the matrix --> times weights[piece], or 1
 *
 * model2vec calls the matrix "embeddings" and may have "weights" and a "mapping" beside it, which lets many
 * pieces share a row; wordllama has "embedding.weight" alone.  Whatever it is called: a file with one tensor of
 * two axes can only mean that one.
 *
 * All numbers are looked at when a model is opened, so that none of them can spoil a sum later.
 *
 * Thread: any. */
#include "semantic/import_model.h"

#include <math.h>

#include "include/perilune.h"

#define SHOWN(s)    (int)((s).len > 60 ? 60 : (s).len), (s).ptr
#define MOST_NUMBER 1e9 /* no embedding has such; sums of rows stay finite */

static int refuse(struct failure *f, const struct tensor *t, const char *what) {
    failure_set(f, FAILURE_INTERNAL, "the tensor \"%.*s\" %s", SHOWN(t->name), what);
    return PERILUNE_ERR_INVAL;
}

static const struct tensor *only_matrix(const struct tensors *t, unsigned *count) {
    const struct tensor *found = NULL;
    *count = 0;
    for (unsigned i = 0; i < t->count; i++) {
        if (t->items[i].axes != 2) continue;
        found = &t->items[i];
        ++*count;
    }
    return *count == 1 ? found : NULL;
}

static int find_matrix(struct import_model *m, struct failure *f) {
    unsigned count = 0;
    m->matrix = import_tensors_find(&m->tensors, SLICE("embeddings"));
    if (m->matrix == NULL) m->matrix = import_tensors_find(&m->tensors, SLICE("embedding.weight"));
    if (m->matrix == NULL) m->matrix = only_matrix(&m->tensors, &count);
    if (m->matrix == NULL) {
        failure_set(f, FAILURE_INTERNAL, "has %u tensors of two axes, none named \"embeddings\" or "
                    "\"embedding.weight\"; a static embedding model (model2vec, wordllama) is wanted, with a row for "
                    "each piece", count);
        return PERILUNE_ERR_INVAL;
    }
    if (m->matrix->axes != 2 || m->matrix->shape[0] == 0 || m->matrix->shape[1] == 0)
        return refuse(f, m->matrix, "is not a matrix of [tokens, dims]");
    if (m->matrix->shape[1] > IMPORT_MODEL_MAX_DIMS || m->matrix->shape[0] > UINT32_MAX)
        return refuse(f, m->matrix, "is too large: rows of 4096 numbers at most can be read");
    return 0;
}

static int check_numbers(const struct tensor *t, struct failure *f) {
    if (t->type == TENSOR_OTHER || t->type == TENSOR_I32 || t->type == TENSOR_I64) {
        failure_set(f, FAILURE_INTERNAL, "the tensor \"%.*s\" has the dtype %s; F32, F16, BF16, F64 and I8 can be "
                    "read: save the model in one of them", SHOWN(t->name), t->type_name);
        return PERILUNE_ERR_INVAL;
    }
    for (uint64_t i = 0; i < t->count; i++) {
        double v = import_tensors_number(t, i);
        if (fabs(v) <= MOST_NUMBER) continue;
        failure_set(f, FAILURE_INTERNAL, "the tensor \"%.*s\" has a number that is NaN, infinite or over 1e9, at %llu",
                    SHOWN(t->name), (unsigned long long)i);
        return PERILUNE_ERR_INVAL;
    }
    return 0;
}

static int check_mapping(const struct tensor *t, uint64_t rows, struct failure *f) {
    if (t->type != TENSOR_I32 && t->type != TENSOR_I64)
        return refuse(f, t, "says which rows to take, and has a dtype other than I64 and I32");
    for (uint64_t i = 0; i < t->count; i++) {
        double v = import_tensors_number(t, i);
        if (!(v >= 0 && v < (double)rows)) return refuse(f, t, "names a row that \"embeddings\" has not");
    }
    return 0;
}

static int find_all(struct import_model *m, struct failure *f) {
    int rc = find_matrix(m, f);
    if (rc == 0) rc = check_numbers(m->matrix, f);
    if (rc != 0) return rc;
    m->tokens = m->matrix->shape[0];
    m->dims = (unsigned)m->matrix->shape[1];
    m->mapping = import_tensors_find(&m->tensors, SLICE("mapping"));
    m->weights = import_tensors_find(&m->tensors, SLICE("weights"));
    if (m->weights == m->matrix) m->weights = NULL;
    if (m->mapping == m->matrix) m->mapping = NULL;
    if (m->mapping != NULL) {
        if (m->mapping->axes != 1) return refuse(f, m->mapping, "is not a list");
        rc = check_mapping(m->mapping, m->tokens, f);
        m->tokens = m->mapping->count;
    }
    if (rc != 0 || m->weights == NULL) return rc;
    if (m->weights->axes != 1 || m->weights->count != m->tokens)
        return refuse(f, m->weights, "has not one number for each token");
    return check_numbers(m->weights, f);
}

int import_model_open(struct import_model *m, struct slice bytes, struct failure *f) {
    *m = (struct import_model){ .matrix = NULL };
    int rc = import_tensors_open(&m->tensors, bytes, f);
    return rc == 0 ? find_all(m, f) : rc;
}

void import_model_close(struct import_model *m) { import_tensors_close(&m->tensors); }

void import_model_add(const struct import_model *m, uint32_t piece, float *out) {
    uint64_t row = m->mapping != NULL ? (uint64_t)import_tensors_number(m->mapping, piece) : piece;
    double weight = m->weights != NULL ? import_tensors_number(m->weights, piece) : 1;
    for (unsigned i = 0; i < m->dims; i++)
        out[i] += (float)(weight * import_tensors_number(m->matrix, row * m->dims + i));
}
