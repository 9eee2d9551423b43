/* llama_library.h -- libllama, found, looked at and loaded. See llama_library.c. */
#ifndef PERILUNE_LOCAL_LLAMA_LIBRARY_H
#define PERILUNE_LOCAL_LLAMA_LIBRARY_H

#include "local/devices.h"
#include "local/llama_abi.h"

struct llama_library;

/* What a context is made of, whatever the layout. */
struct llama_context_wish {
    uint32_t cells, batch, piece, rows; /* piece: tokens that are computed at once */
    int32_t  threads;
    bool     embeddings, apart;
    int      flash_attention; /* 1: yes; -1: no; 0: where it can be */
    int      kv_type;         /* a tensor type's number; -1: the library's */
    bool   (*abort)(void *ud);
    void    *abort_ud;
};

/* The library of the process: the first that is asked for stays.  folder NULL: where it is usually found.  Any
 * thread.  0, or a negative code and a sentence in why. */
int llama_library_get(const struct llama_library **out, const char *folder, char *why, size_t why_size);
const struct llama_calls *llama_library_calls(const struct llama_library *l);
/* NULL: the library could not; llama_library_complaint() has its words. */
struct llama_model   *llama_library_load(const struct llama_library *l, const char *path,
                                         const struct device_plan *plan);
/* Those of the machine, `most` at most; returns how many. */
unsigned              llama_library_devices(const struct llama_library *l, struct device *out, unsigned most);
struct llama_context *llama_library_context(const struct llama_library *l, struct llama_model *m,
                                            const struct llama_context_wish *wish);
/* What the library first complained of on this thread since that was forgotten; "": nothing. */
const char *llama_library_complaint(void);
void        llama_library_forget_complaint(void);
/* What this thread loads, so that it can be told should the library end the process meanwhile; NULL: nothing. */
void        llama_library_busy_with(const char *model);

#endif
