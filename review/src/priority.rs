//! Work that nobody waits for gives way to work that somebody does.

/// Has the calling thread, and those it starts, run when no other wants to, as far as that is possible.
pub fn give_way() {
    // On Linux the priority of the process that calls is that of the thread, and its threads get it from it.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
}

#[cfg(target_os = "linux")]
const LOWEST_PRIORITY: i32 = 19;
