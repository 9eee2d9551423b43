/* files.c -- files that commands read and write.
 *
 * A command reads a file as a whole, and the buffer's limit is the file's.  It writes beside the place first (PATH.new)
 * and moves the file there when it is known to be whole, so that what exists can be used.  What only it needs stands
 * where the user keeps such things ($TMPDIR). */
#include "cli/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/perilune.h"

static const char *too_large(size_t limit, char why[FILES_WHY]) {
    size_t mib = limit >> 20;
    if (mib >= 1024 && mib % 1024 == 0) snprintf(why, FILES_WHY, "is over %zu GiB", mib / 1024);
    else if (mib > 0) snprintf(why, FILES_WHY, "is over %zu MiB", mib);
    else snprintf(why, FILES_WHY, "is over %zu bytes", limit);
    return why;
}

static const char *read_all(FILE *f, struct buf *to, char why[FILES_WHY]) {
    struct stat st;
    if (fstat(fileno(f), &st) == 0) {
        if (S_ISDIR(st.st_mode)) return "is not a file";
        bool sized = S_ISREG(st.st_mode) && st.st_size > 0;
        if (sized && to->limit > 0 && (uint64_t)st.st_size > to->limit) return too_large(to->limit, why);
        if (sized) buf_reserve(to, (size_t)st.st_size); /* else it would be copied each time that it grows */
    }
    char chunk[65536];
    size_t n;
    while (!buf_failed(to) && (n = fread(chunk, 1, sizeof(chunk), f)) > 0) buf_put(to, chunk, n);
    int error = errno;
    if (to->error == PERILUNE_ERR_LIMITED) return too_large(to->limit, why);
    if (buf_failed(to)) return "out of memory";
    if (ferror(f) == 0) return NULL;
    snprintf(why, FILES_WHY, "%s", strerror(error));
    return why;
}

const char *files_read(const char *path, struct buf *to, char why[FILES_WHY]) {
    bool is_stdin = path == NULL || strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    if (f == NULL) {
        snprintf(why, FILES_WHY, "%s", strerror(errno));
        return why;
    }
    const char *problem = read_all(f, to, why);
    if (!is_stdin) fclose(f);
    return problem;
}

const char *files_write(const char *path, const struct buf *from) {
    FILE *f = fopen(path, "wb");
    bool good = f != NULL && fwrite(buf_get(from).ptr, 1, buf_len(from), f) == buf_len(from);
    if (f != NULL && fclose(f) != 0) good = false;
    int why = errno;
    if (!good && f != NULL) unlink(path);
    return good ? NULL : strerror(why);
}

int files_temp(const char *name, const char *ending, char path[FILES_PATH]) {
    const char *folder = getenv("TMPDIR");
    if (folder == NULL || folder[0] == '\0') folder = "/tmp";
    size_t n = (size_t)snprintf(path, FILES_PATH, "%s/%s-XXXXXX%s", folder, name, ending);
    if (n < FILES_PATH) return mkstemps(path, (int)strlen(ending));
    errno = ENAMETOOLONG;
    return -1;
}
