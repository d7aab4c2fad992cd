// The kernel's events as they happen, from a socket of their own. For `weir conntrack -E --kernel`.

import CNetfilterConntrack
import Conntrack
import Glibc
import TableControl
import Wire

extension KernelTable {
  public func follow(_ request: FollowRequest, _ each: (TableEvent) throws -> Bool) throws {
    let listener = try NetlinkSocket(groups: request.groups)
    var granted: Int?
    if let bytes = request.bufferBytes { granted = listener.setBuffer(bytes) }
    guard try each(.began(bufferBytes: granted)) else { return }
    var goesOn = true
    while goesOn {
      guard listener.wait(interruption: request.interruption) else { return }
      do {
        try listener.receive { message in
          guard goesOn, let event = event(message) else { return }
          goesOn = try each(event)
        }
      } catch let error as TableError where error.number == ENOBUFS {
        goesOn = try each(.lost(nil))
      }
    }
  }

  private func event(_ message: NetlinkMessage) -> TableEvent? {
    let isNew = message.flags & UInt16(NLM_F_CREATE | NLM_F_EXCL) != 0
    if message.subsystem == Int32(NFNL_SUBSYS_CTNETLINK_EXP) {
      guard let object = try? ExpectationObject(), object.parse(message),
        let expectation = object.expectation
      else { return nil }
      let isEnd = message.kind == Int32(IPCTNL_MSG_EXP_DELETE.rawValue)
      return .expectation(
        ExpectationEvent(
          kind: isEnd ? .destroy : .new, expectation: expectation, timeNanoseconds: now()))
    }
    guard let object = try? ConnectionObject(), object.parse(message),
      let connection = object.connection
    else { return nil }
    let kind: ConnectionEventKind =
      message.kind == Int32(IPCTNL_MSG_CT_DELETE.rawValue) ? .destroy : isNew ? .new : .update
    var event = ConnectionEvent(kind: kind, connection: connection, timeNanoseconds: now())
    // The kernel tells a mark of 0 only where that is new.
    event.markChanged = object.has(ATTR_MARK)
    let portID = unsafe message.header.pointee.nlmsg_pid
    // Mostly a port id is its process's.
    if portID != 0 { event.requester = EventRequester(process: portID) }
    return .connection(event)
  }
}

extension FollowRequest {
  /// The multicast groups of linux/netfilter/nfnetlink_compat.h, a bit each.
  fileprivate var groups: UInt32 {
    if expectations { return 0x38 }
    var groups: UInt32 = 0
    if kinds.contains(.new) { groups |= 0x1 }
    if kinds.contains(.update) { groups |= 0x2 }
    if kinds.contains(.destroy) { groups |= 0x4 }
    return groups
  }
}

extension NetlinkSocket {
  /// Asks for a receive buffer, beyond the system's limit where that is allowed.
  /// - Returns: bytes granted.
  fileprivate func setBuffer(_ bytes: Int) -> Int {
    var wanted = Int32(clamping: bytes)
    let size = socklen_t(MemoryLayout<Int32>.size)
    if unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, size) != 0 {
      _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &wanted, size)
    }
    var granted: Int32 = 0
    var length = size
    _ = unsafe getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &granted, &length)
    return Int(granted)
  }

  /// Waits for a message; false where the interruption came first.
  fileprivate func wait(interruption: Int32?) -> Bool {
    var waiting = [pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)]
    if let interruption {
      waiting.append(pollfd(fd: interruption, events: Int16(POLLIN), revents: 0))
    }
    while true {
      let ready = unsafe poll(&waiting, nfds_t(waiting.count), -1)
      if ready < 0 && errno != EINTR { return false }
      if waiting.count > 1 && waiting[1].revents != 0 { return false }
      if ready > 0 { return true }
    }
  }
}
