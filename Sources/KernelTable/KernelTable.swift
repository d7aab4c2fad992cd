// The running kernel's own table of connections, by ctnetlink: what `weir conntrack --kernel` works on, and
// whoever else looks at or changes it. Needs CAP_NET_ADMIN in the network namespace it is made in.

import CNetfilterConntrack
import Conntrack
import Glibc
import TableControl
import Wire

/// The table of the network namespace of the thread that made it.
///
/// Its errors are `TableError`s with the numbers that the kernel answers.
public struct KernelTable: WatchedTable {
  let socket: NetlinkSocket
  /// Reads what is known of the kernel's rules, anew each time the surroundings are asked for; nil: nothing.
  public var ruleSource: (() -> KernelRuleFacts)?
  private(set) var ruleFacts = KernelRuleFacts()

  public init() throws {
    socket = try NetlinkSocket()
  }

  mutating func readRules() { ruleFacts = ruleSource?() ?? KernelRuleFacts() }

  public func now() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  private static let connections = Int32(NFNL_SUBSYS_CTNETLINK)

  private func request(
    _ type: Int, flags: Int32, family: AddressFamily?,
    _ build: (NetlinkRequest) throws -> Void = { _ in }
  ) throws {
    try socket.send(
      subsystem: KernelTable.connections, type: type, flags: flags,
      family: UInt8(family?.rawValue ?? 0), build)
  }

  // MARK: Looking

  public func list(_ request: ListRequest, _ each: (Connection) throws -> Void) throws {
    let type: Int
    switch request.table {
    case .conntrack:
      type = Int(
        (request.zeroesCounters ? IPCTNL_MSG_CT_GET_CTRZERO : IPCTNL_MSG_CT_GET).rawValue)
    case .dying: type = Int(IPCTNL_MSG_CT_GET_DYING.rawValue)
    case .unconfirmed: type = Int(IPCTNL_MSG_CT_GET_UNCONFIRMED.rawValue)
    }
    try self.request(type, flags: NLM_F_DUMP, family: request.family) { message in
      guard let mark = request.mark else { return }
      message.put(mark, as: Int(CTA_MARK.rawValue))
      message.put(request.markMask, as: Int(CTA_MARK_MASK.rawValue))
    }
    try socket.answer { message in
      let object = try ConnectionObject()
      if object.parse(message), let connection = object.connection { try each(connection) }
    }
  }

  public func get(_ request: ConnectionRequest) throws -> Connection {
    let (object, family) = try object(request)
    try self.request(
      Int(IPCTNL_MSG_CT_GET.rawValue), flags: NLM_F_ACK, family: family, object.build)
    var found: Connection?
    try socket.answer { message in
      let object = try ConnectionObject()
      if object.parse(message) { found = object.connection }
    }
    guard let found else { throw TableError.noSuchEntry }
    return found
  }

  private func object(_ request: ConnectionRequest) throws -> (ConnectionObject, AddressFamily) {
    guard let family = request.family else { throw TableError.notSupported }
    let object = try ConnectionObject()
    object.fill(request, family)
    return (object, family)
  }

  public func count() throws -> Int {
    try request(Int(IPCTNL_MSG_CT_GET_STATS.rawValue), flags: NLM_F_ACK, family: nil)
    var count = 0
    try socket.answer { message in
      count = Int(message.numbers()[Int(CTA_STATS_GLOBAL_ENTRIES.rawValue)] ?? 0)
    }
    return count
  }

  // MARK: Changing

  public func create(_ request: ConnectionRequest) throws {
    let (object, family) = try object(request)
    try self.request(
      Int(IPCTNL_MSG_CT_NEW.rawValue), flags: NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE,
      family: family, object.build)
    try socket.answer()
  }

  public func update(_ request: ConnectionRequest) throws {
    let (object, family) = try object(request)
    try self.request(
      Int(IPCTNL_MSG_CT_NEW.rawValue), flags: NLM_F_ACK, family: family, object.build)
    try socket.answer()
  }

  public func delete(_ connection: Connection) throws {
    let family = connection.original.family
    let object = try ConnectionObject()
    object.setOriginal(TupleRequest(connection.original), family)
    object.setReply(TupleRequest(connection.reply), family)
    object.set(connection.id, ATTR_ID)
    if connection.zone != 0 { object.set(connection.zone, connection.zoneDirection.attribute) }
    try request(
      Int(IPCTNL_MSG_CT_DELETE.rawValue), flags: NLM_F_ACK, family: family, object.build)
    try socket.answer()
  }

  public func flush(_ family: AddressFamily?) throws {
    try request(Int(IPCTNL_MSG_CT_DELETE.rawValue), flags: NLM_F_ACK, family: family)
    try socket.answer()
  }

  // MARK: Counters

  public func statistics() throws -> [ProcessorStatistics] {
    var all: [ProcessorStatistics] = []
    try request(Int(IPCTNL_MSG_CT_GET_STATS_CPU.rawValue), flags: NLM_F_DUMP, family: nil)
    try socket.answer { message in
      let numbers = message.numbers()
      func number(_ type: ctattr_stats_cpu) -> UInt64 { UInt64(numbers[Int(type.rawValue)] ?? 0) }
      var counters = ConntrackStatistics()
      counters.found = number(CTA_STATS_FOUND)
      counters.invalid = number(CTA_STATS_INVALID)
      counters.insert = number(CTA_STATS_INSERT)
      counters.insertFailed = number(CTA_STATS_INSERT_FAILED)
      counters.drop = number(CTA_STATS_DROP)
      counters.earlyDrop = number(CTA_STATS_EARLY_DROP)
      counters.error = number(CTA_STATS_ERROR)
      counters.searchRestart = number(CTA_STATS_SEARCH_RESTART)
      counters.clashResolve = number(CTA_STATS_CLASH_RESOLVE)
      counters.chainTooLong = number(CTA_STATS_CHAIN_TOOLONG)
      all.append(ProcessorStatistics(processor: Int(message.resource), connections: counters))
    }
    try socket.send(
      subsystem: Int32(NFNL_SUBSYS_CTNETLINK_EXP), type: Int(IPCTNL_MSG_EXP_GET_STATS_CPU.rawValue),
      flags: NLM_F_DUMP, family: 0)
    try socket.answer { message in
      let numbers = message.numbers()
      guard let index = all.firstIndex(where: { $0.processor == Int(message.resource) }) else {
        return
      }
      all[index].expectations.new = UInt64(numbers[Int(CTA_STATS_EXP_NEW.rawValue)] ?? 0)
      all[index].expectations.create = UInt64(numbers[Int(CTA_STATS_EXP_CREATE.rawValue)] ?? 0)
      all[index].expectations.delete = UInt64(numbers[Int(CTA_STATS_EXP_DELETE.rawValue)] ?? 0)
    }
    return all
  }
}
