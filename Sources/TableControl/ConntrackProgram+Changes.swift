// `-I`, `-A`, `-D`, `-U`: what changes a table of connections.

import Conntrack
import ConntrackFormat

extension ConntrackProgram {
  mutating func create(_ line: ConntrackCommandLine) throws -> Int32 {
    let adds = line.operation == .add
    var count = 1
    do {
      if line.hasTwoZones { throw TableError.invalid }
      try backend.create(line.creation())
    } catch let error as TableError {
      guard adds && error == .exists else { return try fail(error, adds ? .other : .create) }
      count = 0
    }
    try sum(adds ? ConntrackMessage.added(count) : ConntrackMessage.created(count))
    return 0
  }

  mutating func delete(_ line: ConntrackCommandLine) throws -> Int32 {
    let meant = try connections(line)
    let form = try form(line)
    var count = 0
    for connection in meant {
      do {
        try backend.delete(connection)
      } catch let error as TableError where error == .noSuchEntry {
        continue  // It has ended by itself.
      }
      count += 1
      try console.write { form.append(connection, command: "D", to: &$0) }
    }
    try sum(ConntrackMessage.deleted(count))
    return count > 0 || isLoading ? 0 : 1
  }

  mutating func update(_ line: ConntrackCommandLine) throws -> Int32 {
    let meant = try connections(line)
    let form = try form(line)
    var talk = UpdateTalk()
    var count = 0
    for connection in meant {
      guard let request = line.update(of: connection) else { continue }
      talk.hear(
        Result(catching: { try backend.update(request) }).map { nil }.asked())
      if case .refusal(let error) = talk.answer() {
        try console.flush()
        console.say("Operation failed: \(error.reason(.other))")
      }
      var lookup = ConnectionRequest(family: request.family)
      lookup.original = request.original
      talk.hear(Result(catching: { try backend.get(lookup) }).map { $0 }.asked())
      switch talk.answer() {
      case .refusal(let error) where error == .noSuchEntry: continue
      case .refusal(let error): return try fail(error, .other)
      case .entry(let updated):
        try console.write { form.append(updated, command: "U", to: &$0) }
      case .done: break
      }
      count += 1
    }
    try sum(ConntrackMessage.updated(count))
    return count > 0 || isLoading ? 0 : 1
  }

  /// The connections that a command means, before it changes any.
  private mutating func connections(_ line: ConntrackCommandLine) throws -> [Connection] {
    var meant: [Connection] = []
    try backend.list(ListRequest(family: line.filter.family)) { connection in
      guard line.filter.matches(connection), (line.id ?? connection.id) == connection.id else {
        return
      }
      meant.append(connection)
    }
    return meant
  }
}

/// The conversation that `conntrack -U` has with the kernel, one answer taken for each thing it asks. The
/// kernel answers a lookup twice, with the entry and with an acknowledgement, so from the second connection
/// on 1.4.7 takes answers for others than they are, and shows the first of the updated entries, the third,
/// the fifth, as far as they come by. The same lines are shown here.
private struct UpdateTalk {
  enum Answer {
    case done
    case entry(Connection)
    case refusal(TableError)
  }

  private var waiting: [Answer] = []

  mutating func hear(_ answers: [Answer]) {
    waiting.append(contentsOf: answers)
  }

  mutating func answer() -> Answer { waiting.removeFirst() }
}

extension Result where Success == Connection?, Failure == any Error {
  /// What the table said, as it would have come from the kernel.
  fileprivate func asked() -> [UpdateTalk.Answer] {
    switch self {
    case .success(let connection?): [.entry(connection), .done]
    case .success(nil): [.done]
    case .failure(let error as TableError): [.refusal(error)]
    case .failure(let error): [.refusal(TableError(number: 5, explanation: "\(error)"))]
    }
  }
}
