"""Barcodes to products by the GS1 General Specifications: check digits, GTIN-14, in-store labels, what a scan names.

    check_digit   check digits and order numbers
    gtin          UPC-A, UPC-E, EAN-8, EAN-13, ITF-14 to fourteen digits
    restricted    in-store EAN-13 labels that carry a price or a mass
    scan          a decoder's symbology identifier and bytes to a product

Errors, all from the outside world and none of them a bug:

    Gs1Error
     +-- NotDigitsError          something other than the digits 0 to 9
     +-- LengthError             a wrong number of digits
     +-- CheckDigitError         the last digit is not what the others demand: misread or mistyped
     +-- MarkedValueError        an in-store label whose price or mass is zero
     +-- NotAProductCodeError    a sound code that names no product (see scan)
"""
