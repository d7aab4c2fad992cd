// A case as text that a person reads and writes, one step a line:
//
//   family ipv4
//   sysctl net.netfilter.nf_conntrack_tcp_loose 0
//   rule -t nat -A POSTROUTING -o wan0 -j MASQUERADE
//   router route add prohibit 192.0.2.0/28
//   flow 1 tcp lan 10.0.1.2:1000 198.51.100.2:80
//   1 > tcp S seq 100 win 64240 options 020405b4
//   1 < tcp SA seq 5000 ack 101
//   1 > error 3/1 rest 0 quote 28 flip 12 255 from 203.0.113.1
//   1 > udp length 40 id 7 piece 0-24
//   1 > udp length 8 headers 0:0502000001000000,60:0104 edit 4:ffff cut 60 (any kind: see IPLayer.swift)
//   wait 1500
//   ip addr del 198.51.100.1/24 dev wan0

import Conntrack
import Wire

struct CaseTextError: Error, CustomStringConvertible {
  var line: Int
  var message: String
  var description: String { "line \(line): \(message)" }
}

/// The letters of TCP's flags, lowest bit first, as tcpdump and hping write them.
private let flagLetters: [Character] = ["F", "S", "R", "P", "A", "U", "E", "C"]

extension TCPFlags {
  var letters: String {
    let set = flagLetters.indices.filter { rawValue >> UInt8($0) & 1 == 1 }
    return set.isEmpty ? "-" : String(set.map { flagLetters[$0] })
  }

  init?(letters: Substring) {
    self = []
    if letters == "-" { return }
    for letter in letters {
      guard let bit = flagLetters.firstIndex(of: letter) else { return nil }
      insert(TCPFlags(rawValue: 1 << UInt8(bit)))
    }
  }
}

func hexText(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
}

// MARK: - Writing

extension ConformanceCase {
  var text: String {
    var lines = ["family \(family == .ipv4 ? "ipv4" : "ipv6")"]
    lines += setup.map { "router \($0)" }
    lines += sysctls.map { "sysctl \($0.name) \($0.value)" }
    lines += rules.map { "rule \($0)" }
    for (index, flow) in flows.enumerated() {
      lines.append(
        "flow \(index + 1) \(flow.kind.rawValue) \(flow.port.rawValue) "
          + "\(flow.source.text) \(flow.destination.text)"
          + (flow.announcedBy.map { " announced \($0 + 1)" } ?? ""))
    }
    lines += steps.map { $0.text(family) }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension Step {
  func text(_ family: AddressFamily) -> String {
    var words: [String] = []
    switch kind {
    case .wait(let milliseconds): return "wait \(milliseconds)"
    case .change(let words): return "ip \(words)"
    case .tcp(let tcp): words = tcp.words
    case .udp(let udp):
      words = ["udp", "length \(udp.length)"]
      if udp.checksum != .right { words.append("checksum \(udp.checksum.rawValue)") }
      if let field = udp.lengthField { words.append("says \(field)") }
      if let payload = udp.payload { words.append("text \(PayloadText.write(payload))") }
    case .echo(let echo):
      words = ["echo", "sequence \(echo.sequence)", "length \(echo.length)"]
      if echo.hasBadChecksum { words.append("checksum bad") }
      if echo.isSwapped { words.append("swapped 1") }
    case .error(let error): words = error.words(family)
    case .lite(let lite): words = lite.words
    case .sctp(let sctp): words = sctp.words
    case .message(let message): words = message.words
    case .raw(let raw): words = raw.words
    }
    if let hopLimit { words.append("ttl \(hopLimit)") }
    if let kept { words.append("keep \(kept)") }
    words += ip.words(family)
    return "\(flow + 1) \(direction == .original ? ">" : "<") " + words.joined(separator: " ")
  }
}

extension TCPStep {
  fileprivate var words: [String] {
    var words = ["tcp \(flags.letters)", "seq \(sequence)"]
    if flags.contains(.ack) || acknowledgement != 0 { words.append("ack \(acknowledgement)") }
    words.append("win \(window)")
    if !options.isEmpty { words.append("options \(hexText(options))") }
    if length > 0 { words.append("length \(length)") }
    if hasBadChecksum { words.append("checksum bad") }
    if let dataOffset { words.append("dataoffset \(dataOffset)") }
    if let payload { words.append("text \(PayloadText.write(payload))") }
    return words
  }
}

extension ErrorStep {
  fileprivate func words(_ family: AddressFamily) -> [String] {
    var words = ["error \(type)/\(code)"]
    if rest != 0 { words.append("rest \(rest)") }
    if let quoted { words.append("quote \(quoted)") }
    if let flippedOffset { words.append("flip \(flippedOffset) bits \(flippedBits)") }
    if let source { words.append("from \(source.text(family))") }
    if let destination { words.append("to \(destination.text(family))") }
    if isNested { words.append("nested 1") }
    if hasBadChecksum { words.append("checksum bad") }
    return words
  }
}

// MARK: - Reading

extension ConformanceCase {
  /// Reads what `text` writes; blank lines and lines that begin with `#` say nothing.
  init(name: String, text: String) throws {
    self.init()
    self.name = name
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      let words = line.split(separator: " ")
      guard let first = words.first, !first.hasPrefix("#") else { continue }
      let fail = { (message: String) in CaseTextError(line: index + 1, message: message) }
      switch (first, words.count) {
      case ("family", 2): family = words[1] == "ipv6" ? .ipv6 : .ipv4
      case ("sysctl", 3):
        sysctls.append(Sysctl(name: String(words[1]), value: String(words[2])))
      case ("router", 2...): setup.append(words.dropFirst().joined(separator: " "))
      case ("rule", 3...): rules.append(words.dropFirst().joined(separator: " "))
      case ("ip", 2...):
        steps.append(Step(kind: .change(words.dropFirst().joined(separator: " "))))
      case ("wait", 2): steps.append(Step(kind: .wait(Int(words[1]) ?? 0)))
      case ("flow", 6), ("flow", 8):
        guard let kind = Flow.Kind(rawValue: String(words[2])),
          let port = Port(rawValue: String(words[3])), let source = Endpoint(words[4]),
          let destination = Endpoint(words[5]), words[1] == "\(flows.count + 1)"
        else { throw fail("expected `flow NUMBER KIND lan|wan|host SOURCE DESTINATION`") }
        flows.append(Flow(kind: kind, port: port, source: source, destination: destination))
        if words.count == 8 {
          guard words[6] == "announced", let other = Int(words[7]) else {
            throw fail("expected `announced FLOW`")
          }
          flows[flows.count - 1].announcedBy = other - 1
        }
      case (_, 3...):
        guard let flow = Int(first), flows.indices.contains(flow - 1),
          words[1] == ">" || words[1] == "<"
        else { throw fail("expected a known flow's number and `>` or `<`") }
        guard let step = Step(words.dropFirst(2), family) else {
          throw fail("cannot read the packet `\(words.dropFirst(2).joined(separator: " "))`")
        }
        steps.append(step)
        steps[steps.count - 1].flow = flow - 1
        steps[steps.count - 1].direction = words[1] == ">" ? .original : .reply
      default: throw fail("cannot read `\(line)`")
      }
    }
  }
}

extension Step {
  /// `words`: the kind, for some kinds a word more, then names with their values.
  fileprivate init?(_ words: ArraySlice<Substring>, _ family: AddressFamily) {
    guard let kind = words.first else { return nil }
    let hasMore = ["tcp", "error", "message", "raw"].contains(kind)
    let more = words.dropFirst().first ?? ""
    var values: [Substring: Substring] = [:]
    let pairs = Array(words.dropFirst(hasMore ? 2 : 1))
    guard pairs.count % 2 == 0 else { return nil }
    for index in stride(from: 0, to: pairs.count, by: 2) { values[pairs[index]] = pairs[index + 1] }
    func number<Number: FixedWidthInteger>(_ name: Substring, _ usual: Number) -> Number {
      values[name].flatMap { Number($0) } ?? usual
    }
    let isBad = values["checksum"] == "bad"
    switch kind {
    case "tcp":
      guard let flags = TCPFlags(letters: more) else { return nil }
      self.init(
        kind: .tcp(
          TCPStep(
            flags: flags, sequence: number("seq", 0), acknowledgement: number("ack", 0),
            window: number("win", 65_535), options: hexBytes(values["options"] ?? ""),
            length: number("length", 0), hasBadChecksum: isBad,
            dataOffset: values["dataoffset"].flatMap { UInt8($0) },
            payload: values["text"].flatMap { PayloadText.read($0) })))
    case "udp":
      let checksum = UDPStep.Checksum(rawValue: String(values["checksum"] ?? "right")) ?? .right
      self.init(
        kind: .udp(
          UDPStep(
            length: number("length", 0), checksum: checksum,
            lengthField: values["says"].flatMap { UInt16($0) },
            payload: values["text"].flatMap { PayloadText.read($0) })))
    case "echo":
      self.init(
        kind: .echo(
          EchoStep(
            sequence: number("sequence", 1), length: number("length", 0), hasBadChecksum: isBad,
            isSwapped: values["swapped"] == "1")))
    case "error":
      let parts = more.split(separator: "/").compactMap { UInt8($0) }
      guard parts.count == 2 else { return nil }
      self.init(
        kind: .error(
          ErrorStep(
            type: parts[0], code: parts[1], rest: number("rest", 0),
            quoted: values["quote"].flatMap { Int($0) },
            flippedOffset: values["flip"].flatMap { Int($0) }, flippedBits: number("bits", 0),
            source: values["from"].flatMap { IPAddress.parse($0, family) },
            destination: values["to"].flatMap { IPAddress.parse($0, family) },
            isNested: values["nested"] == "1", hasBadChecksum: isBad)))
    default:
      guard let made = Step.Kind(protocolWords: kind, more: more, values) else { return nil }
      self.init(kind: made)
    }
    hopLimit = values["ttl"].flatMap { UInt8($0) }
    kept = values["keep"].flatMap { Int($0) }
    guard let ip = IPLayer(values, family) else { return nil }
    self.ip = ip
  }
}
