"""Barcodes to products by the GS1 General Specifications.

    scan                        a decoder's symbology identifier and bytes to a product or a coupon
    symbology                   symbology identifiers, and what each kind of symbol holds
    element_string              AIs one behind the other, with FNC1 or in brackets
    digital_link                AIs in a web address
    application_identifiers     the table of AIs; content has its rules, code_lists the codes of other bodies
    element                     AIs with their data, and the errors that name AI, position and rule
    pairing                     what must and must not be on one pack together
    gtin, check_digit           UPC-A, UPC-E, EAN-8, EAN-13, ITF-14 to fourteen digits; order numbers
    restricted                  in-store EAN-13 labels that carry a price or a mass, in layouts of the shop's own
    trade_measure, gs1_date     net mass, price and count of a pack; its dates
    coupon, book_number         AI 8110 and 8112; ISBN and ISSN

Errors, all from the outside world and none of them a bug:

    Gs1Error
     +-- NotDigitsError             something other than the digits 0 to 9
     +-- LengthError                a wrong number of digits
     +-- CheckDigitError            the last digit is not what the others demand: misread or mistyped
     +-- MarkedValueError           a price or mass of zero, or a price that cannot be paid
     +-- LayoutError                a layout of in-store labels that cannot be
     +-- NotAProductCodeError       a sound code that names no product, or an unsound one of another kind (see scan)
     +-- SymbologyError             a symbology identifier that no code of a shop has
     +-- EmptyElementStringError    a GS1 symbol with nothing in it
     +-- BracketError               not AIs in brackets
     +-- PartError                  data against a rule, before it is known of which AI
     +-- DigitalLinkError           not a Digital Link
     |    +-- CompressedDigitalLinkError    one in the form that is not read here
     +-- ElementError               an AI against a rule: `ai`, `position`, `rule`
          +-- UnknownAiError, DataLengthError, CharacterError
          +-- ContentError
          |    +-- AiCheckDigitError        a CheckDigitError, too
          +-- PairingError
               +-- RepeatedAiError
"""
