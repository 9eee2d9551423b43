//! ask.rs -- Perilune from Rust: plain `extern "C"`, no crate.
//!
//!     rustc --edition 2021 ask.rs -L .../lib -l perilune && ./ask hosts.lua
//!
//! What a gateway owns is dropped behind it, and its requests borrow it, so they cannot outlive it.  Neither is Send: a
//! thread owns a gateway (perilune.h, THREADS).  A panic must not cross C, and `extern "C" fn` aborts at one.
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::{collections::HashMap, env, marker::PhantomData, process, ptr};

#[repr(C)] #[derive(Clone, Copy)] struct Str { ptr: *const u8, len: usize }
#[repr(C)] struct Options { size: usize, config: *const c_char, threads: c_int, watch: c_int, rest: [*const c_void; 5] }
#[repr(C)] struct Value { kind: c_int, number: f64, text: Str }
#[repr(C)] struct Event { kind: c_int, error: c_int, status: c_int, choice: u32, text: Str } // its beginning
type Function = extern "C" fn(*mut c_void, *const Value, usize, *mut c_void);

extern "C" {
    fn perilune_open(out: *mut *mut c_void, o: *const Options, why: *mut c_char, size: usize) -> c_int;
    fn perilune_close(g: *mut c_void);
    fn perilune_errmsg(g: *const c_void) -> *const c_char;
    fn perilune_errname(code: c_int) -> *const c_char;
    fn perilune_function_add(g: *mut c_void, name: *const c_char, f: Function, ud: *mut c_void) -> c_int;
    fn perilune_call_return(call: *mut c_void, value: *const Value) -> c_int;
    fn perilune_call_fail(call: *mut c_void, code: *const c_char, message: *const c_char) -> c_int;
    fn perilune_eval(g: *mut c_void, code: *const c_char, f: *const c_char, args: *const u8, len: usize, out: *mut Str) -> c_int;
    fn perilune_request_new(g: *mut c_void, path: *const c_char, json: *const u8, len: usize, out: *mut *mut c_void) -> c_int;
    fn perilune_request_set(r: *mut c_void, name: *const c_char, value: *const c_char) -> c_int;
    fn perilune_request_start(r: *mut c_void, cb: *const c_void, ud: *mut c_void) -> c_int;
    fn perilune_request_next(r: *mut c_void, ev: *mut *const Event, timeout_ms: c_int) -> c_int;
    fn perilune_request_errmsg(r: *const c_void) -> *const c_char;
    fn perilune_request_free(r: *mut c_void);
}

const KINDS: (c_int, c_int, c_int) = (2, 6, 3); // PERILUNE_EV_TEXT, PERILUNE_EV_END, PERILUNE_STRING

fn said(s: *const c_char) -> String { unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned() }
fn text(s: Str) -> String { String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(s.ptr, s.len) }).into_owned() }

type Lookup = dyn Fn(&str) -> Option<String>;
struct Gateway { g: *mut c_void, functions: Vec<*mut Box<Lookup>> }
struct Answer<'a> { r: *mut c_void, over: bool, of: PhantomData<&'a Gateway> }

extern "C" fn call(call: *mut c_void, args: *const Value, count: usize, ud: *mut c_void) {
    let lookup = unsafe { &*(ud as *const Box<Lookup>) };
    match lookup(&if count > 0 { text(unsafe { (*args).text }) } else { String::new() }) {
        Some(s) => unsafe {
            perilune_call_return(call, &Value { kind: KINDS.2, number: 0.0, text: Str { ptr: s.as_ptr(), len: s.len() } })
        },
        None => unsafe { perilune_call_fail(call, ptr::null(), c"nobody has this id".as_ptr()) },
    };
}

fn ok(code: c_int, why: *const c_char) -> Result<(), String> {
    if code == 0 { return Ok(()); }
    Err(format!("{}: {}", said(unsafe { perilune_errname(code) }), said(why)))
}

impl Gateway {
    fn open(config: &str) -> Result<Gateway, String> {
        let (mut g, mut why, name) = (ptr::null_mut(), [0 as c_char; 500], CString::new(config).unwrap());
        let o = Options { size: size_of::<Options>(), config: name.as_ptr(), threads: 0, watch: 0, rest: [ptr::null(); 5] };
        ok(unsafe { perilune_open(&mut g, &o, why.as_mut_ptr(), why.len()) }, why.as_ptr())?;
        Ok(Gateway { g, functions: vec![] })
    }
    fn check(&self, code: c_int) -> Result<(), String> { ok(code, unsafe { perilune_errmsg(self.g) }) }
    fn function(&mut self, name: &CStr, f: Box<Lookup>) -> Result<(), String> {
        let kept = Box::into_raw(Box::new(f));
        self.functions.push(kept);
        self.check(unsafe { perilune_function_add(self.g, name.as_ptr(), call, kept as *mut c_void) })
    }
    fn ask(&self, json: &str, tenant: &CStr) -> Result<Answer<'_>, String> {
        let mut r = ptr::null_mut();
        self.check(unsafe { perilune_request_new(self.g, c"/v1/chat/completions".as_ptr(), json.as_ptr(), json.len(), &mut r) })?;
        let answer = Answer { r, over: false, of: PhantomData };
        answer.check(unsafe { perilune_request_set(r, c"tenant".as_ptr(), tenant.as_ptr()) })?;
        answer.check(unsafe { perilune_request_start(r, ptr::null(), ptr::null_mut()) })?;
        Ok(answer)
    }
    fn eval(&self, code: &CStr, args: &str) -> Result<String, String> {
        let mut out = Str { ptr: ptr::null(), len: 0 };
        self.check(unsafe { perilune_eval(self.g, code.as_ptr(), ptr::null(), args.as_ptr(), args.len(), &mut out) })?;
        Ok(text(out))
    }
}
impl Drop for Gateway {
    fn drop(&mut self) {
        unsafe { perilune_close(self.g) }
        for f in &self.functions { drop(unsafe { Box::from_raw(*f) }) } // nobody calls them any more
    }
}
impl Answer<'_> {
    fn check(&self, code: c_int) -> Result<(), String> { ok(code, unsafe { perilune_request_errmsg(self.r) }) }
}
impl Drop for Answer<'_> { fn drop(&mut self) { unsafe { perilune_request_free(self.r) } } }
impl Iterator for Answer<'_> { // the pieces of the text, as they come
    type Item = Result<String, String>;
    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            let mut ev = ptr::null();
            let got = self.check(unsafe { perilune_request_next(self.r, &mut ev, -1) });
            self.over = got.is_err() || unsafe { (*ev).kind } == KINDS.1;
            if let Err(e) = got { return Some(Err(e)); }
            if unsafe { (*ev).kind } == KINDS.0 { return Some(Ok(text(unsafe { (*ev).text }))); }
        }
        None
    }
}

fn run() -> Result<(), String> {
    let mut gateway = Gateway::open(&env::args().nth(1).ok_or("usage: ask CONFIG")?)?;
    let users = HashMap::from([("u1", "Ada"), ("u2", "Grace")]);
    gateway.function(c"lookup_user", Box::new(move |id| users.get(id).map(|s| s.to_string())))?;
    let json = r#"{"stream":true,"messages":[{"role":"user","content":"Hello from Rust!"}]}"#;
    print!("answer: ");
    for piece in gateway.ask(json, c"u1")? { print!("{}", piece?) }
    let stranger: Result<String, String> = gateway.ask(json, c"u9")?.collect();
    println!("\nstranger: {}", stranger.unwrap_err());
    println!("rule: {}", gateway.eval(c"local n = ... return n * 2", "[21]")?);
    Ok(())
}
fn main() { if let Err(e) = run() { eprintln!("ask: {e}"); process::exit(1) } }
