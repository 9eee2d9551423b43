// ask.go -- Perilune from Go, by cgo: goroutines ask, one thread owns the gateway.
//
//	CGO_CFLAGS=-I.../include CGO_LDFLAGS="-L.../lib -lperilune" go build ask.go && ./ask hosts.lua
//
// perilune_post() is for any thread: ask() posts a question, which begins on the owner's thread, and waits for its end.
// What C keeps of Go is a number, a cgo.Handle.
package main

/*
#include <stdlib.h>
#include <string.h>
#include "perilune.h"

extern void goPosted(perilune *g, void *ud);
extern void goEvent(perilune_request *r, perilune_event *ev, void *ud);
extern void goLookup(perilune_call *call, perilune_value *args, size_t count, void *ud);

static inline int post(perilune *g, uintptr_t h) { return perilune_post(g, goPosted, (void *)h); }
static inline int ask(perilune *g, const char *json, const char *tenant, uintptr_t h, perilune_request **r) {
	int rc = perilune_request_new(g, "/v1/chat/completions", json, strlen(json), r);
	if (rc == 0) rc = perilune_request_set(*r, "tenant", tenant);
	return rc != 0 ? rc : perilune_request_start(*r, (perilune_event_cb)goEvent, (void *)h);
}
static inline int begin(perilune **g, const char *config, char *why, size_t size) {
	perilune_options options = PERILUNE_OPTIONS_INIT;
	options.config = config;
	int rc = perilune_open(g, &options, why, size);
	return rc != 0 ? rc : perilune_function_add(*g, "lookup_user", (perilune_function)goLookup, NULL);
}
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

type question struct {
	json, tenant, answer string
	over                 chan error
}

func text(s C.perilune_str) string { return C.GoStringN(s.ptr, C.int(s.len)) }

//export goPosted
func goPosted(g *C.perilune, ud unsafe.Pointer) {
	q := cgo.Handle(uintptr(ud)).Value().(*question)
	body, tenant := C.CString(q.json), C.CString(q.tenant)
	var r *C.perilune_request
	if rc := C.ask(g, body, tenant, C.uintptr_t(uintptr(ud)), &r); rc != 0 {
		q.over <- fmt.Errorf("%s", C.GoString(C.perilune_errname(rc)))
		C.perilune_request_free(r)
	}
	C.free(unsafe.Pointer(body))
	C.free(unsafe.Pointer(tenant))
}

//export goEvent
func goEvent(r *C.perilune_request, ev *C.perilune_event, ud unsafe.Pointer) {
	q := cgo.Handle(uintptr(ud)).Value().(*question)
	switch ev._type { // a stream would be written on here, piece by piece
	case C.PERILUNE_EV_TEXT:
		q.answer += text(ev.text)
	case C.PERILUNE_EV_END:
		q.over <- nil
		C.perilune_request_free(r)
	case C.PERILUNE_EV_ERROR:
		q.over <- fmt.Errorf("%s: %s", C.GoString(C.perilune_errname(ev.error)), text(ev.text))
		C.perilune_request_free(r)
	}
}

//export goLookup
func goLookup(call *C.perilune_call, args *C.perilune_value, count C.size_t, _ unsafe.Pointer) {
	if count == 0 {
		return // without an answer it is nil
	}
	if name, found := map[string]string{"u1": "Ada", "u2": "Grace"}[text(args.text)]; found {
		out := C.CString(name)
		defer C.free(unsafe.Pointer(out))
		C.perilune_call_return(call, &C.perilune_value{_type: C.PERILUNE_STRING, text: C.perilune_str{out, C.strlen(out)}})
	}
}

// Of any goroutine.
func ask(g *C.perilune, json, tenant string) (string, error) {
	q := &question{json: json, tenant: tenant, over: make(chan error, 1)}
	handle := cgo.NewHandle(q)
	defer handle.Delete()
	if C.post(g, C.uintptr_t(handle)) != 0 {
		return "", fmt.Errorf("the gateway takes nothing any more")
	}
	err := <-q.over
	return q.answer, err
}

func main() {
	runtime.LockOSThread() // this one owns the gateway
	var g *C.perilune
	why := make([]C.char, 500)
	if C.begin(&g, C.CString(os.Args[1]), &why[0], 500) != 0 {
		panic(C.GoString(&why[0]))
	}
	defer C.perilune_close(g)
	go func() {
		defer C.perilune_stop(g)
		json, lines := `{"messages":[{"role":"user","content":"Hello from Go!"}]}`, make(chan string)
		for what, tenant := range map[string]string{"answer:": "u1", "stranger:": "u9"} {
			go func() {
				answer, err := ask(g, json, tenant)
				lines <- fmt.Sprintln(what, answer, err)
			}()
		}
		fmt.Print(<-lines, <-lines)
	}()
	C.perilune_run(g)
}
