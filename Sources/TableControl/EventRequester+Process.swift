// Who asked for a change, by the process: for events told of a gateway's table and of the kernel's.

#if os(Linux)
  import Conntrack
  import Glibc

  extension EventRequester {
    /// The process of this number, with the name it has while it runs (proc(5), `/proc/pid/comm`).
    public init(process: UInt32) {
      self.init(portID: process, programName: EventRequester.programName(process))
    }

    private static func programName(_ process: UInt32) -> String? {
      // A path of fixed form, closed below.
      guard let file = unsafe fopen("/proc/\(process)/comm", "r") else { return nil }
      defer { unsafe fclose(file) }
      var text = [CChar](repeating: 0, count: 64)
      guard unsafe fgets(&text, Int32(text.count), file) != nil else { return nil }
      let bytes = text.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
#endif
