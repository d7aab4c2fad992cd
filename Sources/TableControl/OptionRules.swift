// Which options go with which operation, and which each needs: what conntrack 1.4.7 refuses, in its order
// and words. Found by trying every option with every operation.

import ConntrackFormat

struct OptionRules {
  let operation: ConntrackOperation?
  let table: ConntrackTable
  let protocolNumber: UInt8?
  let given: Set<ConntrackOption>

  /// Refuses what does not go together.
  func check() throws(ConntrackArgumentError) {
    try check(ConntrackOption.common, allowed, required)
    guard let operation else { return }
    if table == .expect {
      if let protocolNumber { try checkExpectation(operation, protocolNumber) }
      return
    }
    let needsTuple = operation == .get || operation == .create || operation == .add
    if needsTuple { try checkAddresses() }
    if let protocolNumber { try checkProtocol(operation, protocolNumber, needsTuple) }
    // The kernel would zero what is then not shown.
    let narrowing = OptionRules.ends.union([
      .protonum, .mark, .status, .zone, .originalZone, .replyZone, .secmark,
    ])
    if operation == .list, table == .conntrack, given.contains(.zero),
      !given.isDisjoint(with: narrowing)
    {
      throw .init("Can't use -z with filtering parameters")
    }
  }

  private func check(
    _ options: [ConntrackOption], _ allowed: Set<ConntrackOption>,
    _ required: Set<ConntrackOption>
  ) throws(ConntrackArgumentError) {
    for option in options {
      let name = option.name(protocolNumber)
      if required.contains(option) && !given.contains(option) {
        throw .init("You need to supply the `--\(name)' option for this command")
      }
      if given.contains(option) && !allowed.contains(option) && !required.contains(option) {
        throw .init("Illegal option `--\(name)' with this command")
      }
    }
  }

  // MARK: Options of every protocol

  private static let ends: Set<ConntrackOption> = [
    .src, .dst, .replySource, .replyDestination,
  ]
  /// What chooses connections in a listing.
  private static let filters = ends.union([
    .protonum, .maskSource, .maskDestination, .mark, .family, .sourceNAT, .destinationNAT,
    .zone, .label, .originalZone, .replyZone, .output,
  ])

  private var allowed: Set<ConntrackOption> {
    switch (operation, table) {
    case (.list, .expect): return [.family, .output]
    case (.list, _): return OptionRules.filters.union([.status, .zero, .secmark, .anyNAT])
    case (.events, .expect): return [.output]
    case (.events, _):
      return OptionRules.filters.union([.eventMask, .secmark, .bufferSize, .anyNAT])
    case (.get, .expect), (.delete, .expect): return OptionRules.ends
    case (.create, .expect):
      return Set(ConntrackOption.common).subtracting([.zero, .eventMask])
    case (.get, _): return OptionRules.ends.union([.id, .output])
    case (.delete, _): return OptionRules.filters.union([.timeout, .status, .id])
    case (.update, _):
      return OptionRules.filters.union([.timeout, .status, .id, .labelAdd, .labelDelete])
        .subtracting([.zone, .originalZone, .replyZone])
    case (.create, _), (.add, _):
      return OptionRules.ends.union([
        .status, .mark, .sourceNAT, .destinationNAT, .zone, .labelAdd, .originalZone, .replyZone,
      ])
    case (.flush, .conntrack): return [.family]
    case (.help, _): return [.protonum]
    default: return []
    }
  }

  private var required: Set<ConntrackOption> {
    switch (operation, table) {
    case (.get, .expect), (.delete, .expect): [.src, .dst, .protonum]
    case (.create, .expect):
      [
        .src, .dst, .protonum, .timeout, .tupleSource, .tupleDestination, .maskSource,
        .maskDestination,
      ]
    case (.get, _): [.protonum]
    case (.create, _), (.add, _): [.protonum, .timeout]
    default: []
    }
  }

  /// A connection is named by the addresses of one direction.
  private func checkAddresses() throws(ConntrackArgumentError) {
    try checkPair((.src, .dst), (.replySource, .replyDestination), reply: ("src", "dst"))
  }

  /// - Parameter reply: what conntrack calls the two of the reply direction.
  private func checkPair(
    _ original: (ConntrackOption, ConntrackOption), _ answer: (ConntrackOption, ConntrackOption),
    reply: (String, String)
  ) throws(ConntrackArgumentError) {
    if given.contains(original.0) && given.contains(original.1) { return }
    if given.contains(answer.0) && given.contains(answer.1)
      && !given.contains(original.0) && !given.contains(original.1)
    {
      return
    }
    let hasOriginal = given.contains(original.0) || given.contains(original.1)
    let hasReply = given.contains(answer.0) || given.contains(answer.1)
    if hasReply && !hasOriginal {
      throw .init("you have to specify `--reply-\(reply.0)' and `--reply-\(reply.1)'")
    }
    throw .init("you have to specify `--\(original.0.rawValue)' and `--\(original.1.rawValue)'")
  }

  // MARK: Options of a protocol

  private func checkProtocol(
    _ operation: ConntrackOperation, _ protocolNumber: UInt8, _ needsTuple: Bool
  ) throws(ConntrackArgumentError) {
    let creates = operation == .create || operation == .add
    let updates = operation == .update
    let expecting: [ConntrackOption] = [
      .maskPortSource, .maskPortDestination, .tuplePortSource, .tuplePortDestination,
    ]
    switch protocolNumber {
    case 6: try check([.state] + expecting, [.state], creates ? [.state] : [])
    case 132:
      try check(
        [.state, .originalTag, .replyTag] + expecting,
        creates || updates ? [.state, .originalTag, .replyTag] : [.state],
        creates ? [.state, .originalTag, .replyTag] : [])
    case 33:
      try check([.state, .role] + expecting, [.state], creates ? [.state, .role] : [])
    case 1, 58:
      try check(
        [.icmpType, .icmpCode, .icmpID], [.icmpType, .icmpCode, .icmpID],
        needsTuple ? [.icmpType, .icmpCode] : [])
    default: try check(expecting, [], [])
    }
    guard needsTuple else { return }
    switch protocolNumber {
    case 6, 17, 33, 132, 136:
      try checkPair(
        (.sport, .dport), (.replyPortSource, .replyPortDestination),
        reply: ("src-port", "dst-port"))
    case 47:
      try checkPair(
        (.srckey, .dstkey), (.replyKeySource, .replyKeyDestination),
        reply: ("src-key", "dst-key"))
    default: break
    }
  }

  private func checkExpectation(
    _ operation: ConntrackOperation, _ protocolNumber: UInt8
  ) throws(ConntrackArgumentError) {
    let ends: [ConntrackOption]
    let answers: [ConntrackOption]
    switch protocolNumber {
    case 6, 17, 33, 132, 136:
      ends = [.sport, .dport]
      answers = [.replyPortSource, .replyPortDestination]
    case 47:
      ends = [.srckey, .dstkey]
      answers = [.replyKeySource, .replyKeyDestination]
    default: return
    }
    let masks: [ConntrackOption] = [.maskPortSource, .maskPortDestination]
    let tuples: [ConntrackOption] = [.tuplePortSource, .tuplePortDestination]
    let options = ends + answers + masks + tuples
    switch operation {
    case .create: try check(options, Set(tuples), Set(ends + masks))
    case .get, .delete: try check(options, [], Set(ends + answers))
    default: break
    }
  }
}
