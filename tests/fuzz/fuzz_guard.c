/* fuzz_guard.c -- whatever two texts are, the guard says the same of them in both orders, and in time.
 *
 * What stands in front of a byte 0x1E is one text, the rest the other. */
#include "fuzz.h"

#include "semantic/embedding.h"
#include "semantic/guard.h"
#include "semantic/semantic.h"

const char *const fuzz_tokens[] = {
    "\x1e", " ", "from A to B", "to", "than", "从", "到", "比", "not ", "don't", "不", "没有", "是不是", "buy", "sell", "开", "关", "3", "three", "三",
    "百分之", "1,000", "3.10", "1.2.3", "2024-05-01", "15:00", "3 pm", "万", "$", "\xe2\x82\xac", "%", "km", "公里", "Monday", "周一", "Paris", "北京", "NLP",
    "natural language processing", "\"", "“", "”", "《", "》", "get_user()", "--force", "/a/b.c", "http://a.b/c", "a@b.cd", "==", "->", "C++", "C#",
    "in French", "用中文", "as a table", "briefly", "who", "when", "how many", "谁", "多少钱", "\n", ". ", "？", "\xff", "\xe4\xb8", "ＡＢ", "の", NULL
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *mark = memchr(data, 0x1E, size);
    size_t front = mark == NULL ? size / 2 : (size_t)(mark - data), back = size - front - (mark != NULL);
    struct slice a = slice_of((const char *)data, front), b = slice_of((const char *)data + size - back, back);
    static struct embedder *words;
    if (words == NULL) words = embedder_new(NULL, NULL);
    enum guard g = guard_compare(a, b, words);
    ORACLE(guard_compare(b, a, words) == g);
    ORACLE(guard_name(g) != NULL && *guard_name(g) != '\0');
    ORACLE(guard_compare(a, a, words) == GUARD_SAME);
    if (a.len > SEMANTIC_MAX_TEXT || b.len > SEMANTIC_MAX_TEXT) ORACLE(g != GUARD_SAME || slice_eq(a, b));
    return 0;
}
