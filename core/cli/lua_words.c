/* lua_words.c -- the words of a command, as JSON for its half in Lua.
 *
 * Commands that run policies are written in Lua (script_run_command); C reads their arguments and hands them over as
 * one object. */
#include "cli/lua_words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"

void lua_words_string(struct buf *out, const char *key, const char *value) {
    if (value == NULL) return;
    buf_printf(out, "\"%s\":", key);
    json_write_string(out, slice_str(value));
    buf_putc(out, ',');
}

void lua_words_list(struct buf *out, const char *key, const struct arg_list *list) {
    buf_printf(out, "\"%s\":[", key);
    for (size_t i = 0; i < list->len; i++) {
        if (i > 0) buf_putc(out, ',');
        json_write_string(out, slice_str(list->items[i]));
    }
    buf_puts(out, "],");
}

bool lua_words_color(const char *when) {
    const char *no_color = getenv("NO_COLOR");
    bool terminal = isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');
    return strcmp(when, "always") == 0 || (terminal && strcmp(when, "auto") == 0);
}
