// A netlink socket to the kernel's connection tracking, by libmnl: requests out, messages in. For
// `KernelTable`; all that touches raw memory of messages is here and in the object files beside it.

import CNetfilterConntrack
import Glibc
import TableControl

/// One message as it came, valid while its receiver's body runs.
@safe struct NetlinkMessage {
  // Lies in the socket's buffer, whose bounds were checked.
  let header: UnsafePointer<nlmsghdr>

  /// The message type within its subsystem, and that subsystem.
  var kind: Int32 { unsafe Int32(header.pointee.nlmsg_type & 0xff) }
  var subsystem: Int32 { unsafe Int32(header.pointee.nlmsg_type >> 8) }
  var flags: UInt16 { unsafe header.pointee.nlmsg_flags }

  /// `nfgenmsg.res_id`: the processor, in statistics.
  var resource: UInt16 {
    // A message of a netfilter subsystem begins with it; its length was checked.
    unsafe UInt16(
      bigEndian: (mnl_nlmsg_get_payload(header)).load(fromByteOffset: 2, as: UInt16.self))
  }

  /// Attributes of 32 bits, by type.
  func numbers() -> [Int: UInt32] {
    var found: [Int: UInt32] = [:]
    let length = unsafe Int(header.pointee.nlmsg_len)
    let bytes = unsafe UnsafeRawBufferPointer(start: header, count: length)
    var at = 20
    while at + 4 <= length {
      let size = unsafe Int(bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
      let type = unsafe Int(bytes.loadUnaligned(fromByteOffset: at + 2, as: UInt16.self)) & 0x3fff
      guard size >= 4, at + size <= length else { break }
      if size == 8 {
        found[type] = unsafe UInt32(
          bigEndian: bytes.loadUnaligned(fromByteOffset: at + 4, as: UInt32.self))
      }
      at += (size + 3) & ~3
    }
    return found
  }
}

/// A request being made, valid while its maker's body runs.
@safe struct NetlinkRequest {
  // Lies in the socket's own buffer, which attributes are added to.
  let header: UnsafeMutablePointer<nlmsghdr>

  /// Adds an attribute of 32 bits.
  func put(_ value: UInt32, as type: Int) {
    unsafe mnl_attr_put_u32(header, UInt16(type), value.bigEndian)
  }
}

@safe final class NetlinkSocket {
  private let socket: OpaquePointer
  private var sequence: UInt32 = 1
  // A datagram of a listing is at most 32 KiB.
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)
  private let request = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 12, alignment: 16)

  /// - Parameter groups: the multicast groups to listen to, a bit each.
  /// - Throws: `TableError`.
  init(groups: UInt32 = 0) throws {
    // libmnl's own object, closed in deinit.
    guard let socket = unsafe mnl_socket_open(NETLINK_NETFILTER) else {
      throw TableError(number: errno)
    }
    unsafe self.socket = unsafe socket
    if unsafe mnl_socket_bind(socket, groups, 0) < 0 { throw TableError(number: errno) }
  }

  deinit {
    unsafe mnl_socket_close(socket)
    unsafe buffer.deallocate()
    unsafe request.deallocate()
  }

  var descriptor: Int32 { unsafe mnl_socket_get_fd(socket) }

  // MARK: Requests

  /// Sends a request.
  /// - Parameters:
  ///   - family: of `nfgenmsg`; 0: none.
  ///   - build: adds attributes.
  func send(
    subsystem: Int32, type: Int, flags: Int32, family: UInt8,
    _ build: (NetlinkRequest) throws -> Void = { _ in }
  ) throws {
    sequence &+= 1
    // Both fit in the buffer, which is not shared.
    guard let base = unsafe request.baseAddress, let header = unsafe mnl_nlmsg_put_header(base)
    else {
      throw TableError.outOfMemory
    }
    unsafe header.pointee.nlmsg_type = UInt16(subsystem) << 8 | UInt16(type)
    unsafe header.pointee.nlmsg_flags = UInt16(NLM_F_REQUEST | flags)
    unsafe header.pointee.nlmsg_seq = sequence
    guard let extra = unsafe mnl_nlmsg_put_extra_header(header, 4) else {
      throw TableError.outOfMemory
    }
    unsafe extra.storeBytes(of: family, toByteOffset: 0, as: UInt8.self)
    unsafe extra.storeBytes(of: 0, toByteOffset: 1, as: UInt8.self)
    unsafe extra.storeBytes(of: 0, toByteOffset: 2, as: UInt16.self)
    try unsafe build(NetlinkRequest(header: header))
    let sent = unsafe mnl_socket_sendto(socket, header, Int(header.pointee.nlmsg_len))
    if sent < 0 { throw TableError(number: errno) }
  }

  // MARK: Answers

  /// Receives one datagram and shows its messages.
  /// - Throws: `TableError` where receiving fails.
  func receive(_ each: (NetlinkMessage) throws -> Void) throws {
    var received = -1
    repeat {
      received = unsafe mnl_socket_recvfrom(socket, buffer.baseAddress, buffer.count)
    } while received < 0 && errno == EINTR
    if received < 0 { throw TableError(number: errno) }
    var at = 0
    while at + 16 <= received {
      let header = unsafe (buffer.baseAddress! + at).assumingMemoryBound(to: nlmsghdr.self)
      let length = unsafe Int(header.pointee.nlmsg_len)
      guard length >= 16, at + length <= received else { return }
      unsafe try each(NetlinkMessage(header: UnsafePointer(header)))
      at += (length + 3) & ~3
    }
  }

  /// Receives the answer to a request: its messages, up to the acknowledgement or the end of the listing.
  /// - Throws: a `TableError` with the number that the kernel answered.
  func answer(_ each: (NetlinkMessage) throws -> Void = { _ in }) throws {
    var isDone = false
    while !isDone {
      try receive { message in
        guard unsafe message.header.pointee.nlmsg_seq == sequence, !isDone else { return }
        switch unsafe Int32(message.header.pointee.nlmsg_type) {
        case NLMSG_ERROR:
          isDone = true
          // The header is followed by the error, whatever else there is.
          guard unsafe message.header.pointee.nlmsg_len >= 20 else { throw TableError.invalid }
          let error = unsafe mnl_nlmsg_get_payload(message.header).load(as: Int32.self)
          if error != 0 { throw TableError(number: -error) }
        case NLMSG_DONE: isDone = true
        default:
          guard unsafe message.header.pointee.nlmsg_len >= 20 else { return }
          try each(message)
        }
      }
    }
  }
}
