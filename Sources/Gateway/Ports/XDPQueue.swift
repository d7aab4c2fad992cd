// One queue of an interface through AF_XDP: frames come and go in memory shared with the kernel (the kernel's
// Documentation/networking/af_xdp.rst), past its network stack. For the `xdp` port.

#if os(Linux)
  import CXDP
  import Firewall
  import Glibc
  import Wire

  /// The program before an interface that gives its frames to a port's queues.
  ///
  /// It is loaded once, while the process may still do that (CAP_BPF), and attached anew whenever the interface
  /// comes back. It is the interface's while the kernel's link to it is open: a process that is killed leaves
  /// nothing behind.
  final class XDPProgram: Sendable {
    private let program: Descriptor
    let map: Descriptor

    init(_ what: String) throws(SystemError) {
      var program: Int32 = -1
      var map: Int32 = -1
      // libxdp writes the two locals.
      let result = unsafe weir_xdp_load(&program, &map)
      guard result == 0 else { throw SystemError("\(what): loading libxdp's program", -result) }
      self.program = try Descriptor(program, what)
      self.map = try Descriptor(map, what)
    }

    /// - Returns: what keeps the program there.
    func attach(
      to interface: Int32, isGeneric: Bool, _ what: String
    ) throws(SystemError) -> Descriptor {
      let link = weir_xdp_attach(program.number, interface, isGeneric ? 1 : 0)
      guard link >= 0 else { throw SystemError("\(what): attaching libxdp's program", -link) }
      return try Descriptor(link, what)
    }
  }

  // Safe to wrap: the memory is reached in whole chunks only, whose places are checked.
  @safe
  final class XDPQueue {
    /// Chunks of the shared memory: half of them wait for frames to come, half are for frames that leave.
    private static let chunks = 8192
    private static let mostTaken = 64

    private let chunkBytes: Int
    private let memory: UnsafeMutableRawPointer
    private let queue: UnsafeMutablePointer<weir_xsk>
    /// Chunks for frames that leave, those in use left out.
    private let free = FlatArray<UInt64>(count: chunks)
    private var freeCount = 0

    /// - Parameters:
    ///   - chunkBytes: the room for a frame and the 256 bytes that drivers want before it; 2048 or 4096.
    ///   - number: of the interface's queues.
    /// - Throws: EINVAL where there is no such queue.
    init(
      _ device: String, _ number: Int, chunkBytes: Int, _ program: XDPProgram, _ what: String
    ) throws(SystemError) {
      self.chunkBytes = chunkBytes
      // Memory of this process alone; unmapped in `deinit`.
      let mapped = unsafe mmap(
        nil, XDPQueue.chunks * chunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
        0)
      guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
        throw SystemError("\(what): memory")
      }
      let queue = UnsafeMutablePointer<weir_xsk>.allocate(capacity: 1)
      unsafe queue.initialize(to: weir_xsk())
      // The memory and the structure outlive the socket, which `deinit` closes first.
      let result = unsafe weir_xsk_open(
        queue, device, UInt32(number), mapped, UInt32(chunkBytes), UInt32(XDPQueue.chunks),
        program.map.number)
      guard result == 0 else {
        unsafe munmap(mapped, XDPQueue.chunks * chunkBytes)
        unsafe queue.deallocate()
        throw SystemError("\(what): queue \(number)", -result)
      }
      unsafe memory = mapped
      unsafe self.queue = queue
      for chunk in 0..<XDPQueue.chunks {
        let address = UInt64(chunk * chunkBytes)
        if chunk < XDPQueue.chunks / 2 {
          unsafe weir_xsk_give(queue, address)
        } else {
          free[freeCount] = address
          freeCount += 1
        }
      }
      unsafe weir_xsk_wake_receiver(queue)
    }

    deinit {
      unsafe weir_xsk_close(queue)
      unsafe munmap(memory, XDPQueue.chunks * chunkBytes)
      unsafe queue.deallocate()
    }

    var descriptor: Int32 { unsafe queue.pointee.descriptor }

    /// Frames lost since the queue was opened, for want of room.
    var lost: UInt64 { unsafe weir_xsk_lost(queue) }

    /// The longest frame that a chunk holds.
    static func longestFrame(chunkBytes: Int) -> Int { chunkBytes - 256 }

    /// Gives what has come to `body`, frame by frame.
    /// - Parameter most: how many at most.
    /// - Returns: whether there was any.
    func receive(_ most: Int, _ body: (RawSpan) -> Void) -> Bool {
      var first: UInt32 = 0
      // The structure of the open socket, here and below.
      let count = unsafe weir_xsk_peek(queue, UInt32(min(most, XDPQueue.mostTaken)), &first)
      if count == 0 {
        unsafe weir_xsk_wake_receiver(queue)
        return false
      }
      for index in 0..<count {
        var address: UInt64 = 0
        var length: UInt32 = 0
        unsafe weir_xsk_frame(queue, first &+ index, &address, &length)
        let offset = Int(address)
        precondition(offset >= 0 && offset + Int(length) <= XDPQueue.chunks * chunkBytes)
        // Within the memory by the precondition; the kernel leaves the chunk alone until it is given back.
        body(unsafe RawSpan(_unsafeStart: memory + offset, byteCount: Int(length)))
        unsafe weir_xsk_give(queue, address / UInt64(chunkBytes) * UInt64(chunkBytes))
      }
      unsafe weir_xsk_release(queue, count)
      return true
    }

    /// Puts a frame on its way; `kick` sends it.
    /// - Returns: false where there is no room even after what was put before has been sent.
    func put(_ frame: RawSpan) -> Bool {
      guard frame.byteCount <= chunkBytes else { return false }
      if freeCount == 0 {
        kick()
        if freeCount == 0 { return false }
      }
      let address = free[freeCount - 1]
      // A chunk that nobody else has; the frame is no longer than it.
      unsafe frame.withUnsafeBytes { source in
        unsafe (memory + Int(address)).copyMemory(
          from: source.baseAddress!, byteCount: frame.byteCount)
      }
      guard unsafe weir_xsk_put(queue, address, UInt32(frame.byteCount)) == 1 else { return false }
      freeCount -= 1
      return true
    }

    /// Has the kernel send what was put, and takes back the chunks of what was sent.
    func kick() {
      // A kernel that sends few frames a call wants to be called until all are gone. What it cannot send now
      // stays in the ring for the next call.
      var rest = unsafe weir_xsk_pending(queue)
      while rest > 0 {
        let result = unsafe weir_xsk_kick(queue)
        collect()
        let left = unsafe weir_xsk_pending(queue)
        if left == rest || (result < 0 && result != -EAGAIN && result != -EINTR) { break }
        rest = left
      }
      collect()
    }

    private func collect() {
      var address: UInt64 = 0
      while freeCount < XDPQueue.chunks, unsafe weir_xsk_completed(queue, &address) == 1 {
        free[freeCount] = address
        freeCount += 1
      }
    }
  }
#endif
