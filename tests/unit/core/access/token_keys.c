/* token_keys.c: keys of the tests, made by OpenSSL, and tokens made with them by PyJWT.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "unit/core/access/token_rig.h"

const char pem_rsa_private[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCqCnI5Y27eYJGR\n"
                               "NutwWCtufZdzwg1wot89kr96FXY2MH/fjPMD6xvXAOOxiRPkFwt3EISfgqhCjZdH\n"
                               "vdGRP89rI4KsTvenZPkB811hQuP+ro49jaLBQmAN1im+UoBcgwOICfO0CYV1Uhc8\n"
                               "zx4of9SoU8Lo7NAZyE7zTKgqkI0qi3i+yqVnumJFUTbXUe9apKtfzwApsXlZCU44\n"
                               "i2Vm7KxGUfyKIc9tfqqmgiLcW92F4IQFvk5bhIcXrIa65y4kIGw+ySUStoebWkPv\n"
                               "82htP7ImrO9/bKekGq3Ybj+6To+W2gW88tyIG27pXXFCPZiXiKmSDSVywAgXLMhe\n"
                               "TwuAasy/AgMBAAECggEABnb6flWjX80pYn+g0cAgZyntpTlh15JfX2xGg8s5hYqe\n"
                               "Exzz9SrSpDagOqc4TpfCjws48Lz/3/UHJQXBsVDNGu11n5fhR9DlBUNSeQr0gIr0\n"
                               "QsFDti7ZM+acePZuKjGt0VW+9LaOh3Yi4i1TskYN5mFIS9fCMfeaIWRTowDuDi4v\n"
                               "Iag/98pH7i4JWDLQgYARzWdtRB6Y0+8N295y3kv2T6S3ATTwnEd+Q+xupTAlSdZE\n"
                               "LKn5/3i9ERrKS5OtZVOYPuDKyAvA0GHNYKp0C7Fv2Z3Fts0yZd66grZ8buTq5ngz\n"
                               "bb1IVxNEuA0zpmziqjNy33xwxaPoSHYBqjuv2wBirQKBgQDv9ZPGA6rplMjz4U17\n"
                               "YHKsrYYiOUDAdDo/cL1caQotphzHjvlqu7grd6Q7ZOeKYFxTMK/rr2vF4e+hUQSg\n"
                               "UWu+R4ZJ192y3pA1dsvo1FlnP47a71YVhw0CiyMHhuZR6PzAeijKQfh5rvvM0Jcu\n"
                               "r/o8g49H26vDasX5OhhVHGm1LQKBgQC1aFqolJiH04US8sWgXeos7SXUITppvdCr\n"
                               "63oA16q7BVHE44DNA+aZfJJq11QDrwDl6tvmVgKUiFnY2TmaP058huwHcr5Dopep\n"
                               "3mGdZHrtt2NPZdzHcfU2uxcZUvM4+q8czQBqHLok4B9Bt2jCIzlVB1c+hTKz76WU\n"
                               "baV/XAgVGwKBgC3CtWWjuWpGF3R62N3YbMYFaXkJVhHdmGYUx+fhmDFQZligKWxz\n"
                               "VBHmBQnWmllHOxQaStI1Z+YayioHW0x/en6VAUT/x6Wez/2CJCzIoiwQcNvLnK0K\n"
                               "Ti7X/dwnm7CvL9Q8955qqkn6VsaeWNZsdNopdJ+NgtoHeK2oqI9Cld4ZAoGBAK41\n"
                               "9gI5GbYu2ngU7tcP+aiFYbOy6V7M681+SN7wPkR2Wk1jUbkQyu6RZCb4fPVApfMm\n"
                               "tWEhLj8oJmiKS7gmnaAXDiok9jULuuxl5IZ7DVamq9d+8iQS+zNBPnCSaYNJsstM\n"
                               "z94XkmeBWGMK2K6/lvpiH1WqIsQMG45MMgf6AMULAoGAUPIEBKxxp1gY5CxJ3GRN\n"
                               "w/ulNbGwXnuo1LKpNEYq5sGLvHIRMUyIUHknhnfN92hVAs0HeGmhxP4w0SFBOvKy\n"
                               "Ipi/ZwGzqKAlCoKS8T9OXc9TX+MbnIyBl9CE40CWuYeFCT8cQiiwhlaj3YYxk5jJ\n"
                               "pBZ/8jCXUkLqZrOCKn3rgFk=\n"
                               "-----END PRIVATE KEY-----\n";

const char pem_rsa_private_pkcs1[] =
    "-----BEGIN RSA PRIVATE KEY-----\n"
    "MIIEowIBAAKCAQEAqgpyOWNu3mCRkTbrcFgrbn2Xc8INcKLfPZK/ehV2NjB/34zz\n"
    "A+sb1wDjsYkT5BcLdxCEn4KoQo2XR73RkT/PayOCrE73p2T5AfNdYULj/q6OPY2i\n"
    "wUJgDdYpvlKAXIMDiAnztAmFdVIXPM8eKH/UqFPC6OzQGchO80yoKpCNKot4vsql\n"
    "Z7piRVE211HvWqSrX88AKbF5WQlOOItlZuysRlH8iiHPbX6qpoIi3FvdheCEBb5O\n"
    "W4SHF6yGuucuJCBsPsklEraHm1pD7/NobT+yJqzvf2ynpBqt2G4/uk6PltoFvPLc\n"
    "iBtu6V1xQj2Yl4ipkg0lcsAIFyzIXk8LgGrMvwIDAQABAoIBAAZ2+n5Vo1/NKWJ/\n"
    "oNHAIGcp7aU5YdeSX19sRoPLOYWKnhMc8/Uq0qQ2oDqnOE6Xwo8LOPC8/9/1ByUF\n"
    "wbFQzRrtdZ+X4UfQ5QVDUnkK9ICK9ELBQ7Yu2TPmnHj2bioxrdFVvvS2jod2IuIt\n"
    "U7JGDeZhSEvXwjH3miFkU6MA7g4uLyGoP/fKR+4uCVgy0IGAEc1nbUQemNPvDdve\n"
    "ct5L9k+ktwE08JxHfkPsbqUwJUnWRCyp+f94vREaykuTrWVTmD7gysgLwNBhzWCq\n"
    "dAuxb9mdxbbNMmXeuoK2fG7k6uZ4M229SFcTRLgNM6Zs4qozct98cMWj6Eh2Aao7\n"
    "r9sAYq0CgYEA7/WTxgOq6ZTI8+FNe2ByrK2GIjlAwHQ6P3C9XGkKLaYcx475aru4\n"
    "K3ekO2TnimBcUzCv669rxeHvoVEEoFFrvkeGSdfdst6QNXbL6NRZZz+O2u9WFYcN\n"
    "AosjB4bmUej8wHooykH4ea77zNCXLq/6PIOPR9urw2rF+ToYVRxptS0CgYEAtWha\n"
    "qJSYh9OFEvLFoF3qLO0l1CE6ab3Qq+t6ANequwVRxOOAzQPmmXySatdUA68A5erb\n"
    "5lYClIhZ2Nk5mj9OfIbsB3K+Q6KXqd5hnWR67bdjT2Xcx3H1NrsXGVLzOPqvHM0A\n"
    "ahy6JOAfQbdowiM5VQdXPoUys++llG2lf1wIFRsCgYAtwrVlo7lqRhd0etjd2GzG\n"
    "BWl5CVYR3ZhmFMfn4ZgxUGZYoClsc1QR5gUJ1ppZRzsUGkrSNWfmGsoqB1tMf3p+\n"
    "lQFE/8elns/9giQsyKIsEHDby5ytCk4u1/3cJ5uwry/UPPeeaqpJ+lbGnljWbHTa\n"
    "KXSfjYLaB3itqKiPQpXeGQKBgQCuNfYCORm2Ltp4FO7XD/mohWGzsulezOvNfkje\n"
    "8D5EdlpNY1G5EMrukWQm+Hz1QKXzJrVhIS4/KCZoiku4Jp2gFw4qJPY1C7rsZeSG\n"
    "ew1WpqvXfvIkEvszQT5wkmmDSbLLTM/eF5JngVhjCtiuv5b6Yh9VqiLEDBuOTDIH\n"
    "+gDFCwKBgFDyBASscadYGOQsSdxkTcP7pTWxsF57qNSyqTRGKubBi7xyETFMiFB5\n"
    "J4Z3zfdoVQLNB3hpocT+MNEhQTrysiKYv2cBs6igJQqCkvE/Tl3PU1/jG5yMgZfQ\n"
    "hONAlrmHhQk/HEIosIZWo92GMZOYyaQWf/Iwl1JC6mazgip964BZ\n"
    "-----END RSA PRIVATE KEY-----\n";

const char pem_rsa_public[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqgpyOWNu3mCRkTbrcFgr\n"
                              "bn2Xc8INcKLfPZK/ehV2NjB/34zzA+sb1wDjsYkT5BcLdxCEn4KoQo2XR73RkT/P\n"
                              "ayOCrE73p2T5AfNdYULj/q6OPY2iwUJgDdYpvlKAXIMDiAnztAmFdVIXPM8eKH/U\n"
                              "qFPC6OzQGchO80yoKpCNKot4vsqlZ7piRVE211HvWqSrX88AKbF5WQlOOItlZuys\n"
                              "RlH8iiHPbX6qpoIi3FvdheCEBb5OW4SHF6yGuucuJCBsPsklEraHm1pD7/NobT+y\n"
                              "Jqzvf2ynpBqt2G4/uk6PltoFvPLciBtu6V1xQj2Yl4ipkg0lcsAIFyzIXk8LgGrM\n"
                              "vwIDAQAB\n"
                              "-----END PUBLIC KEY-----\n";

const char pem_rsa_1024[] = "-----BEGIN PUBLIC KEY-----\n"
                            "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQD4AE+IP2+XLDRKB876Hfq9Ihtm\n"
                            "Ss6aOesGkkUuAF6tP/tVIKE8PjMvSr2xaCJcP5ZQB234AfdpkSZIuU5TqhM1PECT\n"
                            "8koAcyzJMwuzHYdc/R+NhMSXpqVAsqlNUWKOzPHVUt1DveccDIlRhVLzY4PwBZMX\n"
                            "gFnvzYQtHdz7etTNowIDAQAB\n"
                            "-----END PUBLIC KEY-----\n";

const char pem_p256_private[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgy+iuW7zzIhsxmyC7\n"
                                "ZnMvzMWiEq0xQVG5uvZLiC3m30ihRANCAARO5X9CBQI/YI18Ys6pa4YsH++sq+j+\n"
                                "7t8Ys4AFf53gArvsQfgyz3f5mb/UYRq2KXbAs6Un3BkltDmGcPOsTdQ9\n"
                                "-----END PRIVATE KEY-----\n";

const char pem_p256_private_sec1[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIMvorlu88yIbMZsgu2ZzL8zFohKtMUFRubr2S4gt5t9IoAoGCCqGSM49\n"
    "AwEHoUQDQgAETuV/QgUCP2CNfGLOqWuGLB/vrKvo/u7fGLOABX+d4AK77EH4Ms93\n"
    "+Zm/1GEatil2wLOlJ9wZJbQ5hnDzrE3UPQ==\n"
    "-----END EC PRIVATE KEY-----\n";

const char pem_p256_public[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETuV/QgUCP2CNfGLOqWuGLB/vrKvo\n"
                               "/u7fGLOABX+d4AK77EH4Ms93+Zm/1GEatil2wLOlJ9wZJbQ5hnDzrE3UPQ==\n"
                               "-----END PUBLIC KEY-----\n";

const char pem_p384_public[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEOt/8StfZW8kAKeTJkWasaxnQYoz50e3G\n"
                               "w7RAvfTURgPTdhCskNT+U/DvXRWLJC7zY1PwcjcnBgvucLpxbzCMAnxXA4iNwXqn\n"
                               "NJ0wGeW9CorHt2hKuQGelP/RSB6+xEeo\n"
                               "-----END PUBLIC KEY-----\n";

const char pem_ed25519_private[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIM35NsHrCJc6h1jRcpgx+UvlVPMjhzd1QbKgLVNXDXKv\n"
    "-----END PRIVATE KEY-----\n";

const char pem_ed25519_public[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEA4qoBLR3F2Tn074jcb6aBJ3UFq0eIgop/hOpMLwUil/Q=\n"
                                  "-----END PUBLIC KEY-----\n";

const char foreign_rs256[] =
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTcwMDAwMzYwMCw"
    "ic3Vic2NyaWJlIjpbInByaWNlcy4qIiwibmV3cyJdLCJwdWJsaXNoIjoiY2hhdCJ9.VUORTWOJ9j6PVv"
    "xpLpxi5i7VKC-AAAqtXzhkNSSu42BWgAMUb40wnkvc1YzSL-RMWIgH3ESL_jWsMrYB6KOqijlmgQnweh"
    "zfHtLPstwtqeI4I7MnPzm84oZ5QRWJY2xR1mBN5saMff2OlMqCdjvhUbXxpCnBVryfHQbVVr9ma5ozSM"
    "Pzp9p5t5r05_M7QzuULIaMpm0OJVQq-F0TsAxDb3PMQvPExWoX97W2TDfLc5RVzz-z7gjHavSuEgbkyt"
    "j6mqkxnhPACEMmQNgnaT9w19SfNns0QQ1K2ejgTltbTQfcGzAW3A6IomDWnvPXq5YF0bZVUGkLSbHeSs"
    "Z51aZdSw";

const char foreign_es256[] =
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTcwMDAwMzYwMCw"
    "ic3Vic2NyaWJlIjpbInByaWNlcy4qIiwibmV3cyJdLCJwdWJsaXNoIjoiY2hhdCJ9.xCw8Dy-eOufQqX"
    "h14PVCFPTt5DeVGrOh2-ROxGh6A9SDYEGTB7pYjUqFeofYL69LfZkZ0qJu6P7sgAfilNBKIA";

const char foreign_eddsa[] =
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTcwMDAwMzYwMCw"
    "ic3Vic2NyaWJlIjpbInByaWNlcy4qIiwibmV3cyJdLCJwdWJsaXNoIjoiY2hhdCJ9.k33KX6wVUnPYkr"
    "Hf0VcMGq049VWHxsvOyTVTF16j_0uhsTPhM3HtZkRZlxkCYudIdgcTHUq2Cwd_FINF8K8vDw";
