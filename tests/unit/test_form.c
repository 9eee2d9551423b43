/* test_form.c -- the field of a form. */
#include "request/form.h"

#include "unit.h"

static const char TYPE[] = "multipart/form-data; boundary=XX";

static void is(const char *type, struct slice body, const char *want) {
    struct slice got = form_field(slice_str(type), body, SLICE("model"));
    NOTE("%s: %.*s", type, SLICE_ARG(body));
    if (want == NULL) CHECK(got.ptr == NULL);
    else CHECK_SLICE(got, slice_str(want));
}

#define PART(name, text) "--XX\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" text "\r\n"
#define END "--XX--\r\n"

TEST_NOFAULT(a_field_is_found) {
    is(TYPE, SLICE(PART("model", "m") END), "m");
    is("Multipart/Form-Data; charset=utf-8; Boundary=\"XX\"", SLICE(PART("model", "m") END), "m");
    is(TYPE, SLICE(PART("file", "model\r\n\r\nmodel=n") PART("model", "m") PART("model", "n") END), "m");
    is(TYPE, SLICE(PART("model", "") END), "");
    is(TYPE, SLICE("--XX\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; filename=\"name=x\"; name=model\r\n\r\nm\r\n"
                   END), "m");
    is(TYPE, SLICE(PART("model", "a\r\nb") END), "a\r\nb");
}

TEST_NOFAULT(boundaries_are_whole_lines) {
    is(TYPE, SLICE(PART("file", "a\r\n--XXL\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nn") PART("model", "m") END), "m");
    is(TYPE, SLICE(PART("model", "a\r\n--XXL\r\nb") END), "a\r\n--XXL\r\nb");
    is(TYPE, SLICE("--XX \t\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n--XX \r\n" END), "m");
    is(TYPE, SLICE("This is MIME.\r\n" PART("model", "m") END), "m");
    is(TYPE, SLICE("\r\n" PART("model", "m") END), "m");
    is(TYPE, SLICE("--XXL\r\n" PART("model", "m") END), "m");
    is(TYPE, SLICE(PART("file", "x") END "\r\n" PART("model", "m") END), NULL); /* behind the end */
    is(TYPE, SLICE("no boundary\r\n--X\r\n"), NULL);
}

TEST_NOFAULT(what_is_no_field) {
    is(TYPE, SLICE(""), NULL);
    is(TYPE, SLICE(PART("models", "m") END), NULL);
    is(TYPE, SLICE(PART("file", "name=\"model\"") END), NULL);
    is(TYPE, SLICE("--XX\r\nContent-Disposition: form-data; filename=\"model\"\r\n\r\nm\r\n" END), NULL);
    is("application/json", SLICE(PART("model", "m") END), NULL);
    is("multipart/form-data", SLICE(PART("model", "m") END), NULL);
    is("multipart/form-data; boundary=", SLICE(PART("model", "m") END), NULL);
    is("multipart/form-data; boundary=YY", SLICE(PART("model", "m") END), NULL);
    is(TYPE, SLICE("--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm"), NULL); /* cut */
    is(TYPE, SLICE("--XX\r\n\r\n\r\n--XX\r\nContent-Disposition:\r\n\r\nm\r\n" END), NULL);
}

/* Every cut of a good one: it is found whole or not at all. */
TEST_NOFAULT(cut_anywhere) {
    static const char all[] = PART("file", "x") PART("model", "whisper") END;
    for (size_t n = 0; n < sizeof(all); n++) {
        struct slice got = form_field(slice_str(TYPE), slice_of(all, n), SLICE("model"));
        if (got.ptr != NULL) CHECK_SLICE(got, SLICE("whisper"));
    }
}

TEST_NOFAULT(what_comes_twice_is_told) {
    static const char twice[] = PART("model", "m") PART("file", "x") PART("model", "n") END;
    struct form_part parts[] = { { .name = SLICE("model") }, { .name = SLICE("file") }, { .name = SLICE("other") } };
    form_parts(slice_str(TYPE), slice_str(twice), parts, 3);
    CHECK_UINT(parts[0].times, 2);
    CHECK(parts[1].times <= 1);
    CHECK_UINT(parts[2].times, 0);
    CHECK(parts[2].content.ptr == NULL);
    is("multipart/form-data; boundary=XX; boundary=YY", SLICE(PART("model", "m") END), NULL);
    is("multipart/form-data; boundary=\"XX\"; Boundary=XX", SLICE(PART("model", "m") END), NULL);
}
