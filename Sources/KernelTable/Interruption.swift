// Ctrl-C and its like as something to wait for beside other things, so that a command that follows events can
// end in order. For `weir conntrack -E`.

import CNetfilterConntrack
import Glibc

public enum Interruption {
  /// Holds SIGINT and SIGTERM back from now on, for the whole process.
  /// - Returns: a descriptor that is readable once one has come; nil where there is none to be had.
  public static func descriptor() -> Int32? {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGINT)
    unsafe sigaddset(&signals, SIGTERM)
    unsafe sigprocmask(SIG_BLOCK, &signals, nil)
    let descriptor = unsafe signalfd(-1, &signals, Int32(SFD_CLOEXEC))
    return descriptor < 0 ? nil : descriptor
  }
}
