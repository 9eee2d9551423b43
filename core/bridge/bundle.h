/* bundle.h -- the files a configuration is made of, read once. See bundle.c. */
#ifndef PERILUNE_BRIDGE_BUNDLE_H
#define PERILUNE_BRIDGE_BUNDLE_H

#include <lua.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/list.h"
#include "bridge/findings.h"
#include "include/perilune.h"

struct models;

/* Who has the texts instead of the file system: perilune_options.read. */
struct bundle_host {
    perilune_read read; /* NULL: they are files */
    void         *ud;
    bool         *reads; /* true while read() runs, for who wants to know what called it; or NULL */
};

struct bundle_file {
    struct list  link;
    char        *name, *path;
    struct blob *text;
};

struct bundle {
    bool        frozen; /* nothing is read from disk any more */
    bool        spec;   /* of a test file: policies also stand right beside it */
    char       *path;   /* of the configuration or spec file */
    struct blob *text;
    struct list files;  /* struct bundle_file: what policy_source() found */
    struct bundle_host host;
    struct findings findings; /* what is wrong, in pieces, while it is not frozen */
    struct buf  doubts; /* lines: what is probably wrong, though everything ran */
    struct buf  warnings; /* lines: what may be meant as it is */
    struct models *models;        /* made by the first state; NULL before. A share */
    struct models *models_before; /* of the configuration before this one, to be used again; NULL: none. A share */
};

/* Reads the file. On failure err gets a sentence. */
int  bundle_open(struct bundle **out, const char *path, bool spec, char *err, size_t errlen);
/* The same, where the texts may be the host's. */
int  bundle_open_from(struct bundle **out, const struct bundle_host *host, const char *path, bool spec, char *err,
                      size_t errlen);
/* One without a file: policies are found from the folder that path is in. NULL: no memory. */
struct bundle *bundle_new(const char *path, bool spec);
void bundle_free(struct bundle *b);
/* Of the bytes of all its files and where they stand, seen from the configuration's folder.  False: no memory. */
bool bundle_digest(const struct bundle *b, unsigned char digest[32]);

/* The bytes of a file that a policy needs, which the bundle keeps; read if they were not.  b may be NULL.
 * NULL: err has a sentence. */
struct blob *bundle_data(struct bundle *b, const char *name, char *err, size_t errlen);

int  l_policy_source(lua_State *L); /* core.policy_source(name) -> text, path | nil, err */
int  l_bundle_file(lua_State *L);   /* core.bundle_file(path, whole) -> bytes | true | nil, err: what a policy needs */
int  l_bundle_list(lua_State *L);   /* core.bundle_list(folder, suffix) -> names, a line each | nil, err */
int  l_policy_names(lua_State *L);
int  l_is_folder(lua_State *L);     /* core.is_folder(path): is there one? */
int  l_policy_doubt(lua_State *L);  /* core.policy_doubt(text, is_warning) */
int  l_finding(lua_State *L);       /* core.finding(is_warning, file, line|nil, column|nil, key, text) */

#endif
