// One entry in the form that `-o` asks for, with its line feed. For `ConntrackProgram`.

import Conntrack
import ConntrackFormat

struct EntryForm {
  private let form: ConntrackCommandLine.Form
  private let lines: ConnectionWriter
  private let xml: XMLWriter
  private let json: JSONWriter
  private let expectations: ExpectationWriter
  private let save = SaveWriter()

  init(_ form: ConntrackCommandLine.Form, _ output: ConntrackOutput) {
    self.form = form
    lines = ConnectionWriter(output)
    xml = XMLWriter(output)
    json = JSONWriter(output)
    expectations = ExpectationWriter(output)
  }

  /// What comes before the first connection of a listing, and after the last.
  var prologue: String? { form == .xml ? XMLWriter.prologue : nil }
  var epilogue: String? { form == .xml ? XMLWriter.epilogue : nil }
  /// The same for expectations.
  var expectationPrologue: String? { form == .xml ? ExpectationWriter.prologue : nil }
  var expectationEpilogue: String? { form == .xml ? ExpectationWriter.epilogue : nil }

  /// - Parameter command: what `-o save` makes of it: `A` to add it, `U` to update, `D` to delete it.
  func append(
    _ connection: Connection, command: Character = "A", to text: inout [UInt8]
  ) {
    switch form {
    case .lines: lines.append(connection, to: &text)
    case .xml: xml.append(connection, to: &text)
    case .json: json.append(connection, to: &text)
    case .save:
      let start = text.count
      save.append(connection, to: &text)
      text[start + 1] = command.asciiValue ?? text[start + 1]
    }
    text.append(UInt8(ascii: "\n"))
  }

  func append(_ event: ConnectionEvent, to text: inout [UInt8]) {
    switch form {
    case .lines: lines.append(event, to: &text)
    case .json: json.append(event, to: &text)
    case .xml:
      xml.append(event, to: &text)
      append(requester: event.requester, to: &text)
    case .save:
      let start = text.count
      save.append(event.connection, to: &text)
      switch event.kind {
      case .new: break
      case .update: text[start + 1] = UInt8(ascii: "U")
      case .destroy: text[start + 1] = UInt8(ascii: "D")
      }
      append(requester: event.requester, to: &text)
    }
    text.append(UInt8(ascii: "\n"))
  }

  private func append(requester: EventRequester?, to text: inout [UInt8]) {
    guard let requester else { return }
    text.append(contentsOf: " [USERSPACE] portid=\(requester.portID)".utf8)
    if let name = requester.programName {
      text.append(contentsOf: " progname=\(name)".utf8)
    }
  }

  func append(_ expectation: Expectation, to text: inout [UInt8]) {
    switch form {
    case .xml: expectations.append(xml: expectation, to: &text)
    case .json: json.append(expectation, to: &text)
    case .lines, .save: expectations.append(expectation, to: &text)
    }
    text.append(UInt8(ascii: "\n"))
  }

  func append(_ event: ExpectationEvent, to text: inout [UInt8]) {
    switch form {
    case .xml: expectations.append(xml: event, to: &text)
    case .json: json.append(event, to: &text)
    case .lines, .save: expectations.append(event, to: &text)
    }
    text.append(UInt8(ascii: "\n"))
  }
}
