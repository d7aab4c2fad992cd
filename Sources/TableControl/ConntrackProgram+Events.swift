// `-E`: events as they come, until somebody interrupts or the table goes away.

import Conntrack
import ConntrackFormat

extension ConntrackProgram {
  mutating func follow(_ line: ConntrackCommandLine) throws -> Int32 {
    let form = try form(line)
    let isExpect = line.table == .expect
    let request = FollowRequest(
      kinds: line.eventMask ?? [.new, .update, .destroy], expectations: isExpect,
      bufferBytes: line.bufferBytes, interruption: interruption)
    let prologue = isExpect ? form.expectationPrologue : form.prologue
    let epilogue = isExpect ? form.expectationEpilogue : form.epilogue
    var count = 0
    var console = console
    defer { self.console = console }
    func show(_ append: (inout [UInt8]) -> Void) throws {
      if count == 0, let prologue {
        try console.write { $0.append(contentsOf: "\(prologue)\n".utf8) }
      }
      count += 1
      try console.write(append)
      try console.flush()
    }
    try backend.follow(request) { event in
      switch event {
      case .began(let bytes):
        if let bytes, request.bufferBytes != nil {
          console.say("NOTICE: Netlink socket buffer size has been set to \(bytes) bytes.")
        }
      case .connection(let event):
        if !isExpect && line.filter.matches(event.connection) {
          try show { form.append(event, to: &$0) }
        }
      case .expectation(let event):
        if isExpect { try show { form.append(event, to: &$0) } }
      case .lost: console.say(ConntrackMessage.eventsLost)
      }
      return true
    }
    if count > 0, let epilogue {
      try console.write { $0.append(contentsOf: "\(epilogue)\n".utf8) }
    }
    try console.flush()
    console.say(
      isExpect
        ? ConntrackMessage.expectationEventsShown(count) : ConntrackMessage.eventsShown(count))
    return 0
  }
}
