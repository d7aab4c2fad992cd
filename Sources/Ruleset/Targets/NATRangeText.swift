// What the NAT targets share: ranges of addresses and ports, read and printed.

import NAT
import Wire

extension NATRange {
  /// `[address[-address]][:port[-port[/base]]]`, an IPv6 address in brackets where ports follow.
  ///
  /// - Parameter allowsBase: whether `/base` may follow a port range.
  mutating func takeTarget(
    _ word: Word, _ family: AddressFamily, allowsBase: Bool
  ) throws(RulesetError) {
    let (addresses, ports) = try NATRange.split(word, family)
    if !addresses.text.isEmpty {
      let (first, second) = addresses.cut(at: "-")
      minAddress = try first.address(family)
      maxAddress = try second?.address(family) ?? minAddress
      options.insert(.mapAddresses)
    } else if ports == nil {
      throw word.problem("an address, ports or both are needed")
    }
    if let ports { try takePorts(ports, allowsBase: allowsBase) }
  }

  /// Addresses and ports apart.
  private static func split(
    _ word: Word, _ family: AddressFamily
  ) throws(RulesetError) -> (Word, Word?) {
    if family == .ipv4 { return word.cut(at: ":") }
    guard word.text.hasPrefix("[") else {
      // Without brackets every colon belongs to the address, but for one that begins the ports.
      if word.text.hasPrefix(":"), !word.text.hasPrefix("::") { return word.cut(at: ":") }
      return (word, nil)
    }
    var (inner, rest) = word.cut(at: "]")
    inner.text.removeFirst()
    inner.column += 1
    guard var rest else { throw word.problem("no `]` closes the address") }
    if rest.text.isEmpty { return (inner, nil) }
    guard rest.text.hasPrefix(":") else {
      throw rest.problem("ports follow the address after a `:`")
    }
    rest.text.removeFirst()
    rest.column += 1
    return (inner, rest)
  }

  /// `port[-port]`, a single port by name too.
  mutating func takePorts(_ word: Word, allowsBase: Bool = false) throws(RulesetError) {
    let (first, second) = word.cut(at: "-")
    options.insert(.portsSpecified)
    guard let second else {
      if word.text.contains(":") {
        throw word.problem("a port range here is written with `-`")
      }
      minPort = try word.port()
      maxPort = minPort
      return
    }
    let (last, base) = second.cut(at: "/")
    minPort = UInt16(try first.number(upTo: 65535))
    maxPort = UInt16(try last.number(upTo: 65535))
    guard minPort <= maxPort else {
      throw word.problem("the port range `\(word.text)` runs backwards")
    }
    if let base {
      guard allowsBase else { throw base.problem("only DNAT takes a base port") }
      basePort = try base.port()
      options.insert(.portOffset)
    }
  }

  /// Reads one of the options without value.
  mutating func takeFlag(_ name: String) {
    switch name {
    case "--random": options.insert(.random)
    case "--random-fully": options.insert(.randomFully)
    default: options.insert(.persistent)
    }
  }

  /// Throws where ports are given and the rule's protocol has none.
  func checkPorts(_ scope: RuleScope) throws(RulesetError) {
    guard options.contains(.portsSpecified) else { return }
    let allowed: [UInt8] = [
      IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.sctp, IPProtocolNumber.dccp,
      IPProtocolNumber.icmp,
    ]
    guard let transport = scope.transport, allowed.contains(transport.number) else {
      throw scope.word.problem("ports need `-p` tcp, udp, sctp or dccp")
    }
  }

  func targetText(_ family: AddressFamily) -> String {
    var text = ""
    if options.contains(.mapAddresses) {
      text = minAddress.text(family)
      if maxAddress != minAddress { text += "-" + maxAddress.text(family) }
      if family == .ipv6, options.contains(.portsSpecified) { text = "[\(text)]" }
    }
    return options.contains(.portsSpecified) ? "\(text):\(portText)" : text
  }

  var portText: String {
    var text = minPort == maxPort ? "\(minPort)" : "\(minPort)-\(maxPort)"
    if options.contains(.portOffset) { text += "/\(basePort)" }
    return text
  }

  func listFlags(to text: inout ListText) {
    if options.contains(.random) { text.add("random") }
    if options.contains(.randomFully) { text.add("random-fully") }
    if options.contains(.persistent) { text.add("persistent") }
  }

  func writeFlags(to text: inout RuleText) {
    if options.contains(.random) { text.add("--random") }
    if options.contains(.randomFully) { text.add("--random-fully") }
    if options.contains(.persistent) { text.add("--persistent") }
  }
}
